//! Exports OCI layouts as directories or archives. Each image is annotated with a name that OCI tools recognize
//! (image-spec, annotations.md, `org.opencontainers.image.ref.name`).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use crate::error::{Class, Failure};
use crate::fs::{self, Replaceable};
use crate::oci::digest::hash_reader;
use crate::oci::layout::{self, Layout};
use crate::plan::{Image, Output};
use crate::process::check_interrupt;
use crate::timings::Phase;
use crate::ui::Ui;

pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Checks before compilation that all outputs can be written.
pub(crate) fn check(outputs: &[Output]) -> Result<(), Failure> {
    outputs.iter().try_for_each(|output| match output {
        Output::Oci(dir) => check_layout(dir),
        Output::OciArchive(file) => check_archive(file),
    })
}

fn check_layout(dir: &Utf8Path) -> Result<(), Failure> {
    let layout = Replaceable { name: "an OCI layout", is_present: dir.join("oci-layout").is_file() };
    let archive = format!("to write an archive, use `--output oci-archive:{dir}`");
    fs::check_output_dir(&format!("output {dir}"), dir, &layout, &archive)?;
    check_writable(dir, dir, "oci:image")
}

fn check_archive(file: &Utf8Path) -> Result<(), Failure> {
    if file.is_dir() {
        return Err(failure(file, "is a directory").hint("specify a file: `--output oci-archive:image.tar`"));
    }
    if file.exists() && !is_archive(file) {
        return Err(failure(file, "already exists and is not an OCI archive")
            .hint("use another file name: `--output oci-archive:image.tar`"));
    }
    let parent = file.parent().filter(|parent| !parent.as_str().is_empty());
    if let Some(parent) = parent.filter(|parent| !parent.is_dir()) {
        return Err(
            failure(file, "is in a directory that does not exist").hint(format!("create it: `mkdir -p {parent}`"))
        );
    }
    check_writable(file, parent.unwrap_or(Utf8Path::new(".")), "oci-archive:image.tar")
}

fn failure(output: &Utf8Path, problem: &str) -> Failure {
    Failure::new(Class::Config, format!("output {output} {problem}"))
}

/// Fails if an output's directory is not writable. `alternative` is the `--output` value to suggest in the hint.
fn check_writable(output: &Utf8Path, dir: &Utf8Path, alternative: &str) -> Result<(), Failure> {
    fs::check_writable(dir).map_err(|error| {
        failure(output, &format!("cannot be written: {error}"))
            .hint(format!("use a writable directory: `--output {alternative}`"))
    })
}

/// Reports whether a file is empty or an archive of an OCI layout.
fn is_archive(path: &Utf8Path) -> bool {
    let Ok(file) = fs_err::File::open(path) else { return false };
    if file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0) {
        return true;
    }
    let mut archive = tar::Archive::new(file);
    let is_layout = |entry: io::Result<tar::Entry<'_, _>>| {
        entry.is_ok_and(|entry| entry.path().is_ok_and(|path| path == std::path::Path::new("oci-layout")))
    };
    archive.entries_with_seek().is_ok_and(|mut entries| entries.any(is_layout))
}

/// Writes all outputs. `layouts` contains one layout per image, in the same order as `images`.
pub(crate) fn write(outputs: &[Output], images: &[Image], layouts: &[&Layout], ui: &Ui) -> Result<()> {
    let images: Vec<(&Image, &Layout)> = images.iter().zip(layouts.iter().copied()).collect();
    for output in outputs {
        let _written = ui.timings().span(Phase::Output, output.path());
        match output {
            Output::Oci(dir) => add_to_layout(dir, &images)?,
            Output::OciArchive(file) => {
                let entries: Vec<Value> =
                    images.iter().map(|(image, layout)| index_entry(image, layout)).collect::<Result<_>>()?;
                let blobs = images.iter().map(|(_, layout)| blobs(layout)).collect::<Result<Vec<_>>>()?;
                archive(file, blobs.into_iter().flatten(), &entries, None)?;
            }
        }
        ui.status("Wrote", output.path().as_str());
    }
    Ok(())
}

/// Returns an image's entry for `index.json`, named after the image and its first tag. The other tags get no entries,
/// because with more than one entry, OCI tools cannot open the layout without a name.
fn index_entry(image: &Image, layout: &Layout) -> Result<Value> {
    let name = format!("{}:{}", image.name, image.tags.first().map_or("latest", String::as_str));
    let mut entry = serde_json::to_value(&layout.descriptor)?;
    entry["annotations"] = json!({ REF_NAME: name });
    Ok(entry)
}

/// Content of the `.gitignore` file that makes git ignore the output directory.
const IGNORE: &str = "# created by cargo multiarch\n*\n";

/// Adds images to a layout, creating the layout if needed. Replaces existing images with the same names.
fn add_to_layout(dir: &Utf8Path, images: &[(&Image, &Layout)]) -> Result<()> {
    let is_new = !dir.join("oci-layout").exists();
    fs_err::create_dir_all(dir.join("blobs/sha256"))?;
    if is_new {
        fs_err::write(dir.join(".gitignore"), IGNORE)?;
    }
    // Hold a lock, because builds in other workspaces may add images to the layout at the same time.
    let _locked = fs::lock_file(&dir.join("oci-layout"), || {})?;
    let mut entries: Vec<Value> = Vec::new();
    if let Ok(text) = fs_err::read(dir.join("index.json")) {
        let top: Value = serde_json::from_slice(&text).map_err(|error| {
            Failure::new(Class::Config, format!("{dir}/index.json is not a valid image index: {error}"))
                .hint("use another directory: `--output oci:DIR`")
        })?;
        entries = top["manifests"].as_array().cloned().unwrap_or_default();
    }
    for (image, layout) in images {
        for blob in blobs(layout)? {
            let name = blob.file_name().unwrap_or_default();
            let to = dir.join("blobs/sha256").join(name);
            let is_up_to_date = fs_err::File::open(&to).and_then(hash_reader).is_ok_and(|hash| hash.sha256 == name);
            if !is_up_to_date {
                // Copy instead of linking, so that changes to the output do not affect later builds.
                fs::copy_atomically(&blob, &to)?;
            }
        }
        let new = index_entry(image, layout)?;
        entries.retain(|old| old["annotations"][REF_NAME] != new["annotations"][REF_NAME]);
        entries.push(new);
    }
    layout::write_index(dir, &entries)
}

/// Returns the sorted paths of all blobs in a layout.
fn blobs(layout: &Layout) -> Result<BTreeSet<Utf8PathBuf>> {
    let dir = layout.dir.join("blobs/sha256");
    dir.read_dir_utf8()?.map(|entry| Ok(entry?.into_path())).collect()
}

/// Writes an OCI archive atomically. `docker_manifest` is the `manifest.json` that older Docker daemons need.
pub(crate) fn archive(
    file: &Utf8Path,
    blobs: impl IntoIterator<Item = Utf8PathBuf>,
    entries: &[Value],
    docker_manifest: Option<&Value>,
) -> Result<()> {
    let mut tar = tar::Builder::new(io::BufWriter::new(fs::temporary_file(file)?));
    let by_name = blobs.into_iter().map(|blob| (blob.file_name().unwrap_or_default().to_owned(), blob));
    for (name, blob) in by_name.collect::<BTreeMap<_, _>>() {
        check_interrupt()?;
        let blob = fs_err::File::open(blob)?;
        let size = blob.metadata()?.len();
        append(&mut tar, &format!("blobs/sha256/{name}"), size, blob)?;
    }
    let documents = [
        ("index.json", Some(layout::index_json(entries)?)),
        ("manifest.json", docker_manifest.map(serde_json::to_vec).transpose()?),
        ("oci-layout", Some(layout::VERSION.into())),
    ];
    for (name, bytes) in documents {
        if let Some(bytes) = bytes {
            append(&mut tar, name, bytes.len() as u64, &bytes[..])?;
        }
    }
    let mut out = tar.into_inner()?;
    out.flush()?;
    fs::persist(out.into_inner().map_err(io::IntoInnerError::into_error)?, file)
}

/// Appends a file to a tar archive. The file's modification time is always 0, so that the same images always produce
/// the same archive.
fn append(tar: &mut tar::Builder<impl Write>, name: &str, size: u64, content: impl io::Read) -> Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_size(size);
    Ok(tar.append_data(&mut header, name, content)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_empty_files_and_oci_archives_are_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let tar_of = |names: &[&str]| {
            let mut tar = tar::Builder::new(Vec::new());
            names.iter().for_each(|name| append(&mut tar, name, 2, &b"{}"[..]).unwrap());
            tar.into_inner().unwrap()
        };
        for (name, bytes, expected) in [
            ("empty", vec![], true),
            ("layout", tar_of(&["blobs/sha256/12", "index.json", "oci-layout"]), true),
            ("other", tar_of(&["Cargo.toml", "src/oci-layout"]), false),
            ("text", b"version = 4".to_vec(), false),
        ] {
            fs_err::write(dir.join(name), bytes).unwrap();
            assert_eq!(is_archive(&dir.join(name)), expected, "{name}");
        }
        assert!(!is_archive("/dev/null".into()));
    }
}
