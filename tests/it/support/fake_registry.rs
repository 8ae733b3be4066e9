//! A local registry that sends responses chosen by a test, or implements the distribution specification.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use reqwest::Url;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A request that a fake registry received.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// The path and query, as sent by the client.
    pub path: String,
    pub authorization: Option<String>,
    pub content_type: Option<String>,
    pub body: Vec<u8>,
}

/// A response: status, headers and body. Status 0 closes the connection without a response.
pub type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

/// A registry that listens on a loopback address and handles each connection in a separate thread.
pub struct FakeRegistry {
    pub host: String,
    requests: Arc<Mutex<Vec<Request>>>,
    stored: Arc<Stored>,
}

impl FakeRegistry {
    /// Starts a registry that stores nothing. `answer` handles the requests one at a time.
    pub fn start(answer: impl Fn(&Request) -> Answer + Send + 'static) -> FakeRegistry {
        let answer = Mutex::new(answer);
        FakeRegistry::serve(move |request, _| answer.lock().unwrap()(request))
    }

    /// Starts a registry that accepts the requests that `publish` sends before the build.
    pub fn accepting() -> FakeRegistry {
        FakeRegistry::start(|request| match request.method.as_str() {
            "POST" => (202, vec![("Location", "/v2/upload/1".to_owned())], Vec::new()),
            _ => (200, Vec::new(), Vec::new()),
        })
    }

    /// Starts a registry that responds to every request for a repository with the same status.
    pub fn rejecting(status: u16) -> FakeRegistry {
        FakeRegistry::start(move |request| match request.path.as_str() {
            "/v2/" => (200, Vec::new(), Vec::new()),
            _ => (status, Vec::new(), br#"{"errors":[{"code":"DENIED","message":"no"}]}"#.to_vec()),
        })
    }

    /// Starts a registry that stores pushed content in memory.
    pub fn storing() -> FakeRegistry {
        FakeRegistry::storing_with(|_, _| None)
    }

    /// Starts a registry that stores pushed content in memory. The hook may override the response to a request, for
    /// example to send wrong data or an error, or delay the response.
    pub fn storing_with(hook: impl Fn(&Request, &Stored) -> Option<Answer> + Send + Sync + 'static) -> FakeRegistry {
        FakeRegistry::serve(move |request, stored| hook(request, stored).unwrap_or_else(|| stored.answer(request)))
    }

    fn serve(answer: impl Fn(&Request, &Stored) -> Answer + Send + Sync + 'static) -> FakeRegistry {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (requests, stored) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Stored::default()));
        let registry = FakeRegistry { host, requests: requests.clone(), stored: stored.clone() };
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let (answer, requests, stored) = (answer.clone(), requests.clone(), stored.clone());
                std::thread::spawn(move || {
                    let Some(request) = read_request(&mut stream) else { return };
                    requests.lock().unwrap().push(request.clone());
                    let _ = write_answer(&mut stream, answer(&request, &stored), request.method == "HEAD");
                });
            }
        });
        registry
    }

    /// Stores a blob. Returns its digest.
    pub fn blob(&self, repo: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        self.stored.content().blobs.insert(key(repo, &digest), bytes.to_vec());
        digest
    }

    /// Stores a manifest under a tag or digest and under its own digest, without checking it. Returns its digest.
    pub fn manifest(&self, repo: &str, reference: &str, media_type: &str, bytes: &[u8]) -> String {
        self.stored.content().store_manifest(repo, reference, media_type, bytes)
    }

    /// Replaces the bytes of a stored blob, as a damaged disk does.
    pub fn damage_blob(&self, repo: &str, digest: &str, bytes: &[u8]) {
        self.stored.content().blobs.insert(key(repo, digest), bytes.to_vec()).unwrap();
    }

    /// Returns the tags of a repository, sorted.
    pub fn tags(&self, repo: &str) -> Vec<String> {
        let content = self.stored.content();
        let tags = content.manifests.keys().filter(|(name, reference)| name == repo && !reference.contains(':'));
        tags.map(|(_, tag)| tag.clone()).collect()
    }

    /// Returns the media type and the bytes of a manifest.
    pub fn stored_manifest(&self, repo: &str, reference: &str) -> Option<(String, Vec<u8>)> {
        self.stored.manifest(repo, reference)
    }

    pub fn stored_blob(&self, repo: &str, digest: &str) -> Option<Vec<u8>> {
        self.stored.blob(repo, digest)
    }

    /// Returns the number of finished uploads, excluding mounted blobs and blobs that the test stored directly.
    pub fn uploads(&self) -> usize {
        self.stored.content().finished
    }

    /// Returns the number of uploads that were started, but neither finished nor canceled.
    pub fn open_uploads(&self) -> usize {
        self.stored.content().uploads.len()
    }

    /// Removes a manifest, as a registry does when it deletes untagged manifests.
    pub fn forget(&self, repo: &str, digest: &str) {
        self.stored.content().manifests.remove(&key(repo, digest)).unwrap();
    }

    /// Asserts that no upload was finished and no manifest was sent.
    #[track_caller]
    pub fn assert_nothing_stored(&self) {
        let stored = self.requests().into_iter().filter(|request| request.method == "PUT");
        let stored: Vec<String> = stored.map(|request| request.path).collect();
        assert!(stored.is_empty(), "{stored:?}");
    }

    /// Returns all requests received so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// Returns the SHA-256 digest of `bytes`, as `sha256:<hex>`.
pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// The content of a registry. Each call locks it only briefly, so a slow hook does not block other requests.
#[derive(Default)]
pub struct Stored(Mutex<Content>);

impl Stored {
    pub fn has_blob(&self, repo: &str, digest: &str) -> bool {
        self.content().blobs.contains_key(&key(repo, digest))
    }

    pub fn blob(&self, repo: &str, digest: &str) -> Option<Vec<u8>> {
        self.content().blobs.get(&key(repo, digest)).cloned()
    }

    /// Returns the media type and the bytes of a manifest.
    pub fn manifest(&self, repo: &str, reference: &str) -> Option<(String, Vec<u8>)> {
        self.content().manifests.get(&key(repo, reference)).cloned()
    }

    /// Responds to a request as the distribution specification requires.
    pub fn answer(&self, request: &Request) -> Answer {
        let url = Url::parse("http://registry").unwrap().join(&request.path).unwrap();
        let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let Some(path) = url.path().strip_prefix("/v2/") else { return refusal(404, "NOT_FOUND", &request.path) };
        let reads = matches!(request.method.as_str(), "GET" | "HEAD");
        let mut content = self.content();
        if let Some((repo, id)) = path.rsplit_once("/blobs/uploads/") {
            return match (request.method.as_str(), id) {
                ("POST", "") => content.start_upload(repo, &query),
                (_, id) => content.upload(request, repo, id, &query),
            };
        }
        if let Some((repo, digest)) = path.rsplit_once("/blobs/").filter(|_| reads) {
            return match content.blobs.get(&key(repo, digest)) {
                Some(bytes) => found("application/octet-stream", digest.to_owned(), bytes),
                None => refusal(404, "BLOB_UNKNOWN", digest),
            };
        }
        match path.rsplit_once("/manifests/") {
            Some((repo, reference)) if reads => match content.manifests.get(&key(repo, reference)) {
                Some((media_type, bytes)) => found(media_type, digest(bytes), bytes),
                None => refusal(404, "MANIFEST_UNKNOWN", reference),
            },
            Some((repo, reference)) if request.method == "PUT" => content.put_manifest(request, repo, reference),
            None if path.is_empty() && reads => (200, vec![], b"{}".to_vec()),
            _ => refusal(405, "UNSUPPORTED", &request.path),
        }
    }

    fn content(&self) -> std::sync::MutexGuard<'_, Content> {
        self.0.lock().unwrap()
    }
}

/// The name of a repository, and a digest or tag in it.
type Key = (String, String);

fn key(repo: &str, reference: &str) -> Key {
    (repo.to_owned(), reference.to_owned())
}

#[derive(Default)]
struct Content {
    blobs: BTreeMap<Key, Vec<u8>>,
    /// The media type and bytes of each manifest, by digest and by tag.
    manifests: BTreeMap<Key, (String, Vec<u8>)>,
    /// The bytes received so far for each open upload, by repository and upload ID.
    uploads: BTreeMap<Key, Vec<u8>>,
    started: usize,
    finished: usize,
}

impl Content {
    fn start_upload(&mut self, repo: &str, query: &BTreeMap<String, String>) -> Answer {
        if let (Some(mount), Some(from)) = (query.get("mount"), query.get("from"))
            && let Some(bytes) = self.blobs.get(&key(from, mount)).cloned()
        {
            self.blobs.insert(key(repo, mount), bytes);
            return created(repo, "blobs", mount, mount);
        }
        self.started += 1;
        let id = self.started.to_string();
        self.uploads.insert(key(repo, &id), Vec::new());
        accepted(repo, &id, 0)
    }

    /// Handles a request for an open upload. As in most registries, its query must match the latest `Location` header.
    fn upload(&mut self, request: &Request, repo: &str, id: &str, query: &BTreeMap<String, String>) -> Answer {
        let Some(bytes) = self.uploads.get_mut(&key(repo, id)) else {
            return refusal(404, "BLOB_UPLOAD_UNKNOWN", id);
        };
        if query.get("_state") != Some(&bytes.len().to_string()) {
            return refusal(400, "BLOB_UPLOAD_INVALID", "not the latest Location");
        }
        match (request.method.as_str(), query.get("digest")) {
            ("PATCH", _) => {
                bytes.extend(&request.body);
                accepted(repo, id, bytes.len())
            }
            ("PUT", Some(expected)) => {
                let whole = [bytes.as_slice(), &request.body].concat();
                if *expected != digest(&whole) {
                    return refusal(400, "DIGEST_INVALID", expected);
                }
                self.uploads.remove(&key(repo, id));
                self.blobs.insert(key(repo, expected), whole);
                self.finished += 1;
                created(repo, "blobs", expected, expected)
            }
            ("PUT", None) => refusal(400, "DIGEST_INVALID", "no digest"),
            ("DELETE", _) => {
                self.uploads.remove(&key(repo, id));
                (204, vec![], vec![])
            }
            _ => refusal(405, "UNSUPPORTED", id),
        }
    }

    fn put_manifest(&mut self, request: &Request, repo: &str, reference: &str) -> Answer {
        let digest = digest(&request.body);
        if reference.contains(':') && reference != digest {
            return refusal(400, "DIGEST_INVALID", reference);
        }
        let (Ok(manifest), Some(media_type)) =
            (serde_json::from_slice::<Value>(&request.body), request.content_type.as_deref())
        else {
            return refusal(400, "MANIFEST_INVALID", reference);
        };
        let missing = self.missing(repo, &manifest);
        if let Some(first) = missing.first() {
            return refusal(400, "MANIFEST_BLOB_UNKNOWN", first);
        }
        self.store_manifest(repo, reference, media_type, &request.body);
        created(repo, "manifests", reference, &digest)
    }

    /// Returns the digests that a manifest or index refers to but the repository does not contain.
    fn missing(&self, repo: &str, manifest: &Value) -> BTreeSet<String> {
        let list = |name: &str| manifest[name].as_array().into_iter().flatten();
        let layers = list("layers").filter(|layer| layer["urls"].as_array().is_none_or(Vec::is_empty));
        let blobs = manifest.get("config").into_iter().chain(layers).map(digest_in);
        let children = list("manifests").map(digest_in);
        let blobs = blobs.filter(|blob| !self.blobs.contains_key(&key(repo, blob)));
        blobs.chain(children.filter(|child| !self.manifests.contains_key(&key(repo, child)))).collect()
    }

    fn store_manifest(&mut self, repo: &str, reference: &str, media_type: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        for reference in [reference, &digest] {
            self.manifests.insert(key(repo, reference), (media_type.to_owned(), bytes.to_vec()));
        }
        digest
    }
}

fn digest_in(descriptor: &Value) -> String {
    descriptor["digest"].as_str().unwrap_or("no digest").to_owned()
}

fn found(media_type: &str, digest: String, bytes: &[u8]) -> Answer {
    (200, vec![("Content-Type", media_type.to_owned()), ("Docker-Content-Digest", digest)], bytes.to_vec())
}

fn created(repo: &str, kind: &str, reference: &str, digest: &str) -> Answer {
    let location = format!("/v2/{repo}/{kind}/{reference}");
    (201, vec![("Location", location), ("Docker-Content-Digest", digest.to_owned())], vec![])
}

fn accepted(repo: &str, id: &str, received: usize) -> Answer {
    let location = format!("/v2/{repo}/blobs/uploads/{id}?_state={received}");
    (202, vec![("Location", location), ("Range", format!("0-{}", received.saturating_sub(1)))], vec![])
}

fn refusal(status: u16, code: &str, detail: &str) -> Answer {
    let message = code.to_ascii_lowercase().replace('_', " ");
    let body = json!({ "errors": [{ "code": code, "message": message, "detail": detail }] });
    (status, vec![("Content-Type", "application/json".to_owned())], body.to_string().into_bytes())
}

fn write_answer(stream: &mut TcpStream, (status, headers, body): Answer, head: bool) -> std::io::Result<()> {
    if status == 0 {
        return Ok(());
    }
    let mut text = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{text}\r\n").as_bytes())?;
    stream.write_all(if head { &[] } else { &body })
}

fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let first = read_line(&mut reader)?;
    let (method, rest) = first.split_once(' ')?;
    let path = rest.split(' ').next()?.to_owned();
    let mut request =
        Request { method: method.to_owned(), path, authorization: None, content_type: None, body: Vec::new() };
    let (mut length, mut chunked) = (0, false);
    while let Some((name, value)) = read_line(&mut reader)?.split_once(':') {
        let value = value.trim().to_owned();
        match name.to_ascii_lowercase().as_str() {
            "authorization" => request.authorization = Some(value),
            "content-type" => request.content_type = Some(value),
            "content-length" => length = value.parse().ok()?,
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            _ => {}
        }
    }
    loop {
        if chunked {
            length = u64::from_str_radix(read_line(&mut reader)?.split(';').next()?.trim(), 16).ok()?;
        }
        let read = reader.by_ref().take(length).read_to_end(&mut request.body).ok()?;
        if read as u64 != length {
            return None;
        }
        if !chunked || read_line(&mut reader).is_some_and(|_| length == 0) {
            return Some(request);
        }
    }
}

/// Reads a line and strips its line ending.
fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    Some(line.trim_end().to_owned())
}
