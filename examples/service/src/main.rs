//! A small web service in an image without a base. It serves HTTP and, if certificate files are configured, HTTPS. It
//! also sends requests to an upstream server and verifies the server's certificate using the CA certificates in the
//! image.

use std::env;
use std::env::consts::{ARCH, OS};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use axum::Router;
use axum::body::Body;
use axum::http::{StatusCode, Uri};
use axum::routing::get;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::signal::unix::{SignalKind, signal};

const HTTP: u16 = 8080;
const HTTPS: u16 = 8443;

#[tokio::main]
async fn main() -> Result<()> {
    match env::args().nth(1).as_deref() {
        None => serve().await,
        Some("--version") => {
            println!("service {} on {ARCH}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Some("--health") => health(),
        Some(other) => bail!("'{other}' is not known: --version, --health, or nothing to serve"),
    }
}

/// Serves HTTP and, if TLS_CERT and TLS_KEY are set to the paths of PEM files, HTTPS.
async fn serve() -> Result<()> {
    let app = Router::new()
        .route("/", get(async || format!("hello from {OS}-{ARCH}\n")))
        .route("/healthz", get(async || "ok\n"))
        .route("/upstream", get(upstream));
    let handle = Handle::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    // As PID 1, a process ignores SIGTERM unless it handles it, and `docker stop` would have to kill it after ten
    // seconds.
    let stopping = handle.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () }
        println!("stopping");
        stopping.graceful_shutdown(Some(Duration::from_secs(8)));
    });
    let everywhere = |port| SocketAddr::from(([0, 0, 0, 0], port));
    let http = axum_server::bind(everywhere(HTTP)).handle(handle.clone()).serve(app.clone().into_make_service());
    match (env::var("TLS_CERT").ok(), env::var("TLS_KEY").ok()) {
        (None, None) => {
            println!("serving HTTP on port {HTTP}");
            http.await?;
        }
        (Some(certificate), Some(key)) => {
            let config = RustlsConfig::from_pem_file(&certificate, &key).await;
            let config = config.with_context(|| format!("no certificate and key in {certificate} and {key}"))?;
            let https = axum_server::bind_rustls(everywhere(HTTPS), config).handle(handle);
            println!("serving HTTP on port {HTTP}, HTTPS on port {HTTPS}");
            tokio::try_join!(http, https.serve(app.into_make_service()))?;
        }
        _ => bail!("TLS_CERT and TLS_KEY go together: set both, or none"),
    }
    Ok(())
}

/// Requests the URL in UPSTREAM and returns the response status.
async fn upstream() -> (StatusCode, String) {
    let Ok(url) = env::var("UPSTREAM") else {
        return (StatusCode::NOT_FOUND, "UPSTREAM names no server, such as https://example.com\n".to_owned());
    };
    match ask(&url).await {
        Ok(status) => (StatusCode::OK, format!("{url} answers {status}\n")),
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{url}: {error:#}\n")),
    }
}

async fn ask(url: &str) -> Result<StatusCode> {
    let url: Uri = url.parse()?;
    // Reads CA certificates from SSL_CERT_FILE or /etc/ssl/certs, and fails if there are none.
    let connector = HttpsConnectorBuilder::new().with_native_roots()?.https_only().enable_http1().build();
    let client = Client::builder(TokioExecutor::new()).build::<_, Body>(connector);
    Ok(tokio::time::timeout(Duration::from_secs(5), client.get(url)).await??.status())
}

/// Checks the health of the service running in the same container.
fn health() -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", HTTP))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.split(' ').nth(1) == Some("200"), "{answer}");
    Ok(())
}
