//! Layouts for elsewhere: a folder or an archive of one or several images, named so that OCI tools find them
//! (image-spec, annotations.md, `org.opencontainers.image.ref.name`).

use std::collections::BTreeSet;
use std::io::{self, Write};

use anyhow::{Context, Result};
use camino::Utf8Path;
use serde_json::{Value, json};

use super::layout::{self, Layout};
use crate::error::{Class, Failure};
use crate::plan::{Image, Output, Plan};
use crate::ui::Ui;

pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Fails where an output cannot be written, before anything is compiled.
pub fn check(plan: &Plan) -> Result<(), Failure> {
    for output in &plan.outputs {
        let wrong = |path: &Utf8Path, what: &str| Failure::new(Class::Config, format!("the output {path} {what}"));
        match output {
            Output::Oci(dir) if dir.is_file() => {
                return Err(wrong(dir, "is a file, and a folder is wanted")
                    .hint(format!("for an archive: `--output oci-archive:{dir}`")));
            }
            Output::Oci(dir) => {
                let empty = dir.read_dir_utf8().map_or(true, |mut entries| entries.next().is_none());
                if !empty && !dir.join("oci-layout").is_file() {
                    return Err(wrong(dir, "is a folder with something else in it")
                        .hint("name one that is empty, an OCI layout, or not there yet"));
                }
            }
            Output::OciArchive(file) if file.is_dir() => {
                return Err(wrong(file, "is a folder").hint("name a file: `--output oci-archive:image.tar`"));
            }
            Output::OciArchive(file) => {
                let folder = file.parent().filter(|folder| !folder.as_str().is_empty());
                if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
                    return Err(wrong(file, "is in a folder that is not there").hint(format!("`mkdir -p {folder}`")));
                }
            }
        }
    }
    Ok(())
}

/// Writes every output of a plan; `layouts` are in the plan's order.
pub fn write(plan: &Plan, layouts: &[&Layout], ui: &Ui) -> Result<()> {
    let images: Vec<(&Image, &Layout)> = plan.images.iter().zip(layouts.iter().copied()).collect();
    for output in &plan.outputs {
        match output {
            Output::Oci(dir) => folder(dir, &images)?,
            Output::OciArchive(file) => {
                let entries: Vec<Value> =
                    images.iter().map(|(image, layout)| entry(image, layout, images.len())).collect::<Result<_>>()?;
                let layouts: Vec<&Layout> = images.iter().map(|(_, layout)| *layout).collect();
                archive(file, &layouts, &entries, None)?;
            }
        }
        let (Output::Oci(path) | Output::OciArchive(path)) = output;
        ui.status("Wrote", path.as_str());
    }
    Ok(())
}

/// An image's line in `index.json`: by its tag, and where there are several by name and tag.
fn entry(image: &Image, layout: &Layout, images: usize) -> Result<Value> {
    let tag = image.tags.first().map_or("latest", String::as_str);
    let name = if images == 1 { tag.to_owned() } else { format!("{}:{tag}", image.name) };
    let mut entry = serde_json::to_value(&layout.descriptor)?;
    entry["annotations"] = json!({ REF_NAME: name });
    Ok(entry)
}

/// Adds to a layout, or makes it; images of the same name are replaced.
fn folder(dir: &Utf8Path, images: &[(&Image, &Layout)]) -> Result<()> {
    let mut entries: Vec<Value> = Vec::new();
    if let Ok(text) = fs_err::read(dir.join("index.json")) {
        let top: Value = serde_json::from_slice(&text).with_context(|| format!("{dir}/index.json is not an index"))?;
        entries = top["manifests"].as_array().cloned().unwrap_or_default();
    }
    fs_err::create_dir_all(dir.join("blobs/sha256"))?;
    for (image, layout) in images {
        for name in blobs(layout)? {
            // No link: what is done to the output must not reach what later builds use.
            let to = dir.join("blobs/sha256").join(&name);
            if !to.exists() {
                fs_err::copy(layout.dir.join("blobs/sha256").join(&name), to)?;
            }
        }
        let new = entry(image, layout, images.len())?;
        entries.retain(|old| old["annotations"][REF_NAME] != new["annotations"][REF_NAME]);
        entries.push(new);
    }
    layout::write_top(dir, &entries)
}

/// The names of a layout's blobs, sorted.
fn blobs(layout: &Layout) -> Result<BTreeSet<String>> {
    let dir = layout.dir.join("blobs/sha256");
    dir.read_dir_utf8()?.map(|entry| Ok(entry?.file_name().to_owned())).collect()
}

/// Writes the archive of some layouts in one step. `docker` is Docker's own list of images, which older daemons want.
pub fn archive(file: &Utf8Path, layouts: &[&Layout], entries: &[Value], docker: Option<&Value>) -> Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_str().is_empty()).unwrap_or(Utf8Path::new("."));
    let out = tempfile::NamedTempFile::new_in(folder).with_context(|| format!("cannot write in {folder}"))?;
    let mut tar = tar::Builder::new(io::BufWriter::new(out));
    let mut done = BTreeSet::new();
    for layout in layouts {
        for name in blobs(layout)? {
            if done.insert(name.clone()) {
                let blob = fs_err::File::open(layout.dir.join("blobs/sha256").join(&name))?;
                let size = blob.metadata()?.len();
                append(&mut tar, &format!("blobs/sha256/{name}"), size, blob)?;
            }
        }
    }
    let documents = [
        ("index.json", Some(layout::top(entries)?)),
        ("manifest.json", docker.map(serde_json::to_vec).transpose()?),
        ("oci-layout", Some(layout::VERSION.into())),
    ];
    for (name, bytes) in documents {
        if let Some(bytes) = bytes {
            append(&mut tar, name, bytes.len() as u64, &bytes[..])?;
        }
    }
    let mut out = tar.into_inner()?;
    out.flush()?;
    out.into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .persist(file)
        .with_context(|| format!("cannot write {file}"))?;
    Ok(())
}

/// The time of an archive's members is no part of an image: always the epoch.
fn append(tar: &mut tar::Builder<impl Write>, name: &str, size: u64, content: impl io::Read) -> Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_size(size);
    Ok(tar.append_data(&mut header, name, content)?)
}
