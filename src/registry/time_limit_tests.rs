//! Tests of the time limits with a server that does not respond to some requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use camino::Utf8Path;

use super::error::RegistryError;
use super::http::read_body_within;
use super::idle_timeout::Limits;
use super::{PushedBlob, Registry};
use crate::oci::descriptor::descriptor;
use crate::oci::digest::sha256;
use crate::threads::{CancelToken, lock};
use crate::ui::Bars;

/// A server that accepts all uploads, except that it never responds to the requests that `ignores` selects by method and
/// body.
struct Server {
    host: String,
    /// The methods of all requests, with the number of bytes in their bodies.
    requests: Arc<Mutex<Vec<(String, usize)>>>,
}

impl Server {
    fn start(ignores: fn(&str, &[u8]) -> bool) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let requests: Arc<Mutex<Vec<(String, usize)>>> = Arc::default();
        let seen = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let seen = seen.clone();
                std::thread::spawn(move || respond(stream, ignores, &seen));
            }
        });
        Server { host, requests }
    }
}

fn respond(stream: TcpStream, ignores: fn(&str, &[u8]) -> bool, seen: &Mutex<Vec<(String, usize)>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let method = line.split(' ').next()?.to_owned();
    let mut length = 0;
    while line.trim() != "" {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let header = line.to_ascii_lowercase();
        length = header.strip_prefix("content-length:").map_or(length, |value| value.trim().parse().unwrap());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    lock(seen).push((method.clone(), length));
    if ignores(&method, &body) {
        // Keep the connection open until the client closes it.
        return reader.read_to_end(&mut Vec::new()).ok().map(drop);
    }
    let status = match method.as_str() {
        "GET" => "200 OK",
        "PUT" => "201 Created",
        _ => "202 Accepted",
    };
    let response = format!(
        "HTTP/1.1 {status}\r\nLocation: /v2/app/blobs/uploads/1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    reader.into_inner().write_all(response.as_bytes()).ok()
}

fn client(limits: Limits) -> Registry {
    Registry { limits, ..Registry::new(&[], &CancelToken::default(), &Bars::default()).unwrap() }
}

#[test]
fn nothing_waits_long_for_the_end_of_an_unused_upload() {
    let server = Server::start(|method, _| method == "DELETE");
    let registry = client(Limits { courtesy: Duration::from_millis(100), ..Limits::default() });
    let start = Instant::now();
    registry.check_push(&format!("{}/app", server.host)).unwrap();
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!(lock(&server.requests).last().unwrap().0, "DELETE");
}

#[test]
fn stalled_upload_is_repeated_in_small_chunks() {
    // Simulates a server or a slow connection on which a large request never completes.
    let server = Server::start(|method, body| method == "PUT" && !body.is_empty());
    let registry = client(Limits { upload: Duration::from_millis(300), ..Limits::default() });
    let dir = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(dir.path()).unwrap().join("blob");
    let content = vec![7; 200_000];
    fs_err::write(&path, &content).unwrap();
    let blob = descriptor("application/octet-stream", &sha256(&content), content.len() as u64).unwrap();
    let pushed = registry.push_blob(&format!("{}/app", server.host), &[], &blob, &path).unwrap();
    assert_eq!(pushed, PushedBlob::Uploaded);
    let requests = lock(&server.requests).clone();
    let chunks: Vec<usize> =
        requests.iter().filter(|(method, _)| method == "PATCH").map(|(_, length)| *length).collect();
    assert_eq!(chunks, [32_768, 65_536, 101_696]);
    assert_eq!(requests.last().unwrap(), &("PUT".to_owned(), 0));
}

#[test]
fn upload_that_stalls_in_chunks_too_is_given_up() {
    let server = Server::start(|method, _| matches!(method, "PUT" | "PATCH"));
    let registry = client(Limits { upload: Duration::from_millis(300), ..Limits::default() });
    let dir = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(dir.path()).unwrap().join("blob");
    fs_err::write(&path, "content").unwrap();
    let blob = descriptor("application/octet-stream", &sha256(b"content"), 7).unwrap();
    let error = registry.push_blob(&format!("{}/app", server.host), &[], &blob, &path).unwrap_err();
    assert!(error.to_string().contains("did not respond in time"), "{error}");
    let requests = lock(&server.requests).clone();
    let tried: Vec<&str> = requests
        .iter()
        .map(|(method, _)| method.as_str())
        .filter(|method| matches!(*method, "PUT" | "PATCH"))
        .collect();
    assert_eq!(tried, ["PUT", "PATCH"]);
}

#[test]
fn documents_must_not_trickle_in() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").unwrap();
        while stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let read = runtime.block_on(async {
        let mut response = client.get(url).send().await.unwrap();
        read_body_within(Duration::from_millis(300), &mut response, 1 << 20).await
    });
    assert!(matches!(read, Err(RegistryError::Stalled)), "{read:?}");
}
