//! The door itself: where it may stand, TLS, slow and many callers, and that no secret is ever told.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster::access::Role;
use muster::http::{Door, Options};
use muster::model::Millis;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::guarded::{Guarded, principal, token};
use crate::kit::until;

#[tokio::test]
async fn beyond_this_machine_it_asks_for_access_control_and_for_tls() {
    // An address of documentation, which no machine has: what is not refused fails at the system.
    let at = |change: fn(&mut Options)| {
        let mut options = Options { listen: "192.0.2.1:1".parse().unwrap(), ..Options::default() };
        change(&mut options);
        options
    };
    let said = async |options: Options, access| Door::open(&options, access).await.unwrap_err().to_string();
    let open = said(at(|_| ()), false).await;
    assert!(open.contains("no access control") && open.contains("[access] tokens"), "{open}");
    assert!(
        said(at(|o| o.behind_proxy = true), false).await.contains("no access control"),
        "a proxy alone is not enough"
    );
    let clear = said(at(|_| ()), true).await;
    assert!(
        clear.contains("in the clear") && clear.contains("tls_certificate") && clear.contains("behind_proxy"),
        "{clear}"
    );
    let behind = said(at(|o| o.behind_proxy = true), true).await;
    assert!(!behind.contains("refused:"), "{behind}");
    let half = Options { tls_key: "k.pem".into(), listen: ([127, 0, 0, 1], 0).into(), ..Options::default() };
    assert!(said(half, true).await.contains("both or neither"));
    let none =
        Options { tls_certificate: "/nowhere/c.pem".into(), tls_key: "/nowhere/k.pem".into(), ..Options::default() };
    assert!(said(none, true).await.contains("/nowhere/c.pem"));
}

/// A new certificate for localhost, written to these files.
fn certificate(folder: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("c.pem"), cert.pem()).unwrap();
    std::fs::write(folder.join("k.pem"), signing_key.serialize_pem()).unwrap();
    cert.der().clone()
}

/// One request over TLS, as text; `Err` where the certificate is another.
async fn over_tls(g: &Guarded, trusted: &CertificateDer<'static>, head: &str) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let name = ServerName::try_from("localhost").unwrap();
    let (address, head) = (g.kit.server.address(), head.to_owned());
    let talk = move || {
        let connection = ClientConnection::new(config, name).unwrap();
        let mut stream = StreamOwned::new(connection, TcpStream::connect(address)?);
        stream.write_all(head.as_bytes())?;
        let mut answer = Vec::new();
        // The server ends the connection as asked, with or without a farewell.
        let _ = stream.read_to_end(&mut answer);
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    tokio::task::spawn_blocking(talk).await.unwrap()
}

#[tokio::test]
async fn tls_is_spoken_and_a_new_certificate_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let first = certificate(folder.path());
    let g = Guarded::with(|config| {
        config.http.tls_certificate = folder.path().join("c.pem");
        config.http.tls_key = folder.path().join("k.pem");
    })
    .await;
    let body = format!("{{\"token\":\"{}\"}}", g.tokens["viewer"]);
    let head = format!(
        "POST /v1/session HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = over_tls(&g, &first, &head).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("; Secure"), "{answer}");
    assert!(g.client.get(format!("{}/livez", g.kit.base)).send().await.is_err(), "nothing in the clear");

    let second = certificate(folder.path());
    let live = "GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    until("the new one is shown", async || over_tls(&g, &second, live).await.is_ok()).await;
    assert!(over_tls(&g, &first, live).await.is_err());
    std::fs::write(folder.path().join("k.pem"), "no key").unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(over_tls(&g, &second, live).await.unwrap().starts_with("HTTP/1.1 200"), "the one before stays in use");
}

#[tokio::test]
async fn whoever_says_nothing_is_let_go() {
    let g = Guarded::with(|config| config.http.header_timeout = Millis(300)).await;
    for said in ["", "GET /livez HTTP/1.1\r\nhost: local"] {
        let begin = Instant::now();
        let mut stream = TcpStream::connect(g.kit.server.address()).unwrap();
        stream.write_all(said.as_bytes()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let closed = tokio::task::spawn_blocking(move || stream.read_to_end(&mut Vec::new())).await.unwrap();
        closed.expect("it is closed, and in time");
        assert!(begin.elapsed() >= Duration::from_millis(250), "{said:?}: {:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn whoever_finds_no_room_waits_outside() {
    let g = Guarded::with(|config| config.http.connections_max = 2.try_into().unwrap()).await;
    let idle = [(); 2].map(|()| TcpStream::connect(g.kit.server.address()).unwrap());
    // They are taken in before anybody who comes later.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let third = tokio::spawn(crate::kit::client().get(format!("{}/livez", g.kit.base)).send());
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(!third.is_finished(), "there is no room");
    drop(idle);
    assert_eq!(tokio::time::timeout(Duration::from_secs(5), third).await.unwrap().unwrap().unwrap().status(), 200);
}

/// Everything that a process says and keeps, while good and bad tokens and sessions come and go, holds none of them.
#[tokio::test]
async fn no_secret_is_in_a_log_a_trail_or_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (mine, held) = token("operator", None);
    muster::access::edit(&path("tokens.toml"), |k| k.add(principal("operator", Role::Operator), held)).unwrap();
    let log = std::fs::File::create(path("log")).unwrap();
    let mut muster = std::process::Command::new(env!("CARGO_BIN_EXE_muster"))
        .args(["run", "--listen", "127.0.0.1:0", "--playbook"])
        .arg(crate::kit::playbook())
        .current_dir(folder.path())
        .env("MUSTER_ACCESS_TOKENS", path("tokens.toml"))
        .env("MUSTER_ACCESS_AUDIT", path("audit.jsonl"))
        .env("MUSTER_LOG_FILTER", "trace")
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let said = || std::fs::read_to_string(path("log")).unwrap();
    until("it listens", async || said().contains("listens on http://")).await;
    let base =
        format!("http://{}", said().split("listens on http://").nth(1).unwrap().split_whitespace().next().unwrap());
    let client = crate::kit::client();
    let wrong = format!("mst_operator_{}", "5".repeat(64));
    for token in [&mine, &wrong] {
        for path in ["/v1/incidents", "/metrics", "/v1/none", "/v1/session"] {
            client.get(format!("{base}{path}")).bearer_auth(token).send().await.unwrap();
        }
    }
    let sign_in = |body: String| {
        client.post(format!("{base}/v1/session")).header("content-type", "application/json").body(body).send()
    };
    sign_in(format!("{{\"token\":\"{wrong}\"}}")).await.unwrap();
    sign_in(format!("{{\"tokens\":\"{mine}\"}}")).await.unwrap();
    let signed = sign_in(format!("{{\"token\":\"{mine}\"}}")).await.unwrap();
    let cookie = signed.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let csrf: serde_json::Value = signed.json().await.unwrap();
    client.get(format!("{base}/v1/marks")).header("cookie", &cookie).send().await.unwrap();
    client
        .delete(format!("{base}/v1/session"))
        .header("cookie", &cookie)
        .header("muster-csrf", csrf["csrf"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    let killed = std::process::Command::new("kill").args(["-TERM", &muster.id().to_string()]).status().unwrap();
    assert!(killed.success() && muster.wait().unwrap().success(), "{}", said());

    let secrets = [&mine, &wrong, &cookie].map(|text| text.rsplit(['_', '=']).next().unwrap().to_owned());
    let (mut files, mut looked_at) = (vec![folder.path().to_owned()], 0);
    while let Some(file) = files.pop() {
        if file.is_dir() {
            files.extend(std::fs::read_dir(&file).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        looked_at += 1;
        let bytes = std::fs::read(&file).unwrap();
        for secret in secrets.iter().map(String::as_bytes).chain([csrf["csrf"].as_str().unwrap().as_bytes()]) {
            assert!(!bytes.windows(secret.len()).any(|w| w == secret), "a secret is in {}", file.display());
        }
    }
    assert!(looked_at >= 4 && said().contains("access.tokens_read"), "{looked_at} files; {}", said());
    let lines: Vec<String> = crate::guarded::read(&path("audit.jsonl"))
        .0
        .into_iter()
        .map(|l| format!("{} {}", l.action, l.outcome))
        .collect();
    for line in [
        "GET /metrics 403 role",
        "GET /v1/incidents 401 wrong",
        "session.begin 401 wrong",
        "session.begin 200",
        "session.end 204",
    ] {
        assert!(lines.iter().any(|l| l == line), "{line}: {lines:#?}");
    }
}
