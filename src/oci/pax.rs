//! Reads the PAX records of tar entries (POSIX.1-2017, pax, "pax Extended Header"). The tar crate splits them at line
//! breaks, which binary values may contain.

use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;

use tar::{Entry, EntryType, Header};

const BLOCK: usize = 512;

/// A tar stream that remembers the headers before each entry.
pub(crate) struct HeaderReader<R> {
    from: R,
    headers: Rc<RefCell<Headers>>,
}

#[derive(Default)]
struct Headers {
    /// Number of bytes read from the stream.
    position: u64,
    /// Position in the stream of the next entry's first header.
    start: u64,
    /// The bytes read since `start`.
    bytes: Vec<u8>,
}

/// The headers recorded by a [`HeaderReader`].
pub(crate) struct EntryHeaders(Rc<RefCell<Headers>>);

impl<R> HeaderReader<R> {
    pub(crate) fn new(from: R) -> (HeaderReader<R>, EntryHeaders) {
        let headers = Rc::<RefCell<Headers>>::default();
        (HeaderReader { from, headers: Rc::clone(&headers) }, EntryHeaders(headers))
    }
}

impl<R: Read> Read for HeaderReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        let mut headers = self.headers.borrow_mut();
        let skipped = usize::try_from(headers.start.saturating_sub(headers.position)).unwrap_or(usize::MAX);
        headers.bytes.extend(buffer[..read].iter().skip(skipped));
        headers.position += read as u64;
        Ok(read)
    }
}

impl EntryHeaders {
    /// Returns the PAX records of an entry that was just read, without parsing them. Must be called for every entry,
    /// before its content is read.
    pub(crate) fn pax_records<R: Read>(&self, entry: &Entry<'_, R>) -> Vec<u8> {
        let mut headers = self.0.borrow_mut();
        let bytes = std::mem::take(&mut headers.bytes);
        // The size of a sparse file is not that of its content in the archive.
        let size = match entry.header().entry_type() {
            EntryType::GNUSparse => entry.header().entry_size().unwrap_or_default(),
            _ => entry.size(),
        };
        headers.start = entry.raw_file_position() + size.next_multiple_of(BLOCK as u64);
        find_extended_header(&bytes).unwrap_or_default().to_vec()
    }
}

/// Returns the content of an entry's PAX extended header, given the headers that precede its main header.
fn find_extended_header(mut headers: &[u8]) -> Option<&[u8]> {
    loop {
        let header = Header::from_byte_slice(headers.get(..BLOCK)?);
        let size = usize::try_from(header.entry_size().ok()?).ok()?;
        match header.entry_type() {
            EntryType::XHeader => return headers.get(BLOCK..BLOCK + size),
            EntryType::GNULongName | EntryType::GNULongLink => {
                headers = headers.get(BLOCK + size.next_multiple_of(BLOCK)..)?;
            }
            _ => return None,
        }
    }
}

/// Returns the value of a PAX record. Fails if any record is malformed, like Go's archive/tar.
pub(crate) fn find_record<'a>(mut records: &'a [u8], key: &str) -> io::Result<Option<&'a [u8]>> {
    let mut found = None;
    while !records.is_empty() {
        let Some((name, value, rest)) = split_record(records) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "malformed PAX record"));
        };
        if name == key.as_bytes() {
            found = Some(value);
        }
        records = rest;
    }
    Ok(found)
}

/// Splits the first record, `LENGTH KEY=VALUE\n`, into its key and its value, and returns them with the other records.
fn split_record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let digits = records.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&records[..digits]).ok()?.parse().ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    let record = record.get(digits + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_records_by_their_length() {
        let records = b"8 a=\n=\n\n6 b=c\n6 b=d\n";
        assert_eq!(find_record(records, "a").unwrap(), Some(&b"\n=\n"[..]));
        assert_eq!(find_record(records, "b").unwrap(), Some(&b"d"[..]));
        assert_eq!(find_record(records, "c").unwrap(), None);
        assert_eq!(find_record(b"", "a").unwrap(), None);
        for malformed in ["6 b=c", "7 b=c\n", "2 b=c\n", "5 bc\n", "x b=c\n", "\0", "99999999999999999999 b=c\n"] {
            assert!(find_record(malformed.as_bytes(), "b").is_err(), "{malformed}");
        }
    }
}
