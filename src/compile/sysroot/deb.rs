//! Unpacks Debian packages without dpkg (deb(5)). The result is the same as that of `dpkg-deb -x`.

use std::io::Read;

use anyhow::{Context, Result, bail};
use camino::Utf8Path;
use object::read::archive::ArchiveFile;

/// The compression of a file, by the end of its name.
pub(crate) fn decompress<'a>(name: &str, content: &'a [u8]) -> Result<Box<dyn Read + 'a>> {
    Ok(match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("xz") => Box::new(lzma_rust2::XzReader::new(content, true)),
        Some("gz") => Box::new(flate2::read::GzDecoder::new(content)),
        Some("zst") => Box::new(zstd::stream::read::Decoder::new(content)?),
        Some("tar") => Box::new(content),
        _ => bail!("unknown compression of {name}"),
    })
}

/// Unpacks the files of a package into a directory, on top of existing files.
pub(crate) fn unpack(package: &Utf8Path, dir: &Utf8Path) -> Result<()> {
    let bytes = fs_err::read(package)?;
    let (name, content) = data_member(&bytes)?;
    let mut archive = tar::Archive::new(decompress(&name, content)?);
    archive.set_preserve_permissions(true);
    archive.set_preserve_mtime(true);
    archive.unpack(dir.as_std_path())?;
    Ok(())
}

/// Returns the name and content of the archive with the package's files, such as `data.tar.xz`.
fn data_member(package: &[u8]) -> Result<(String, &[u8])> {
    let archive = ArchiveFile::parse(package).context("not a Debian package")?;
    for member in archive.members() {
        let member = member?;
        let name = String::from_utf8_lossy(member.name()).trim_end_matches(['/', ' ']).to_owned();
        if name.starts_with("data.tar") {
            return Ok((name, member.data(package)?));
        }
    }
    bail!("the package contains no data.tar")
}
