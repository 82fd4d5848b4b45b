//! Show 2: what a target hears verifies by somebody else's code, in another language. The vectors of the specification
//! itself are held by the module's own test.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster::deliver::webhook::Options;
use muster::model::{Millis, OrderState};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use crate::channel::{Rig, order};
use crate::outside::{Health, Outside, until};

/// Python's `standardwebhooks` and, for Ed25519, `cryptography`, in a folder of the build. `None` where they cannot be had.
fn python() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    let folder = target.join("standardwebhooks");
    let python = folder.join("bin/python");
    let has = |python: &Path| {
        Command::new(python)
            .args(["-c", "import standardwebhooks, cryptography"])
            .output()
            .is_ok_and(|o| o.status.success())
    };
    if !has(&python) {
        Command::new("python3").args(["-m", "venv"]).arg(&folder).output().ok()?;
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "--quiet", "--timeout", "10", "standardwebhooks", "cryptography"]).output().ok()?;
    }
    has(&python).then_some(python)
}

const VERIFY: &str = r#"
import base64, json, sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
told = json.load(sys.stdin)
headers, body = told["headers"], told["body"]
for secret in told["shared"]:
    Webhook(secret).verify(body, headers)
    try:
        Webhook(secret).verify(body + " ", headers)
        sys.exit("a changed body verified")
    except WebhookVerificationError:
        pass
try:
    Webhook(told["other"]).verify(body, headers)
    sys.exit("a foreign secret verified")
except WebhookVerificationError:
    pass
content = f'{headers["webhook-id"]}.{headers["webhook-timestamp"]}.{body}'.encode()
signed = [s.split(",", 1)[1] for s in headers["webhook-signature"].split(" ") if s.startswith("v1a,")]
assert len(signed) == 1, signed
Ed25519PublicKey.from_public_bytes(base64.b64decode(told["public"])).verify(base64.b64decode(signed[0]), content)
print("verified")
"#;

#[tokio::test]
async fn a_delivery_verifies_by_an_implementation_in_another_language() {
    let folder = tempfile::tempdir().unwrap();
    let secret = |byte: u8| format!("whsec_{}", STANDARD.encode([byte; 32]));
    let seed = [7; 32];
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let files = [("old", secret(1)), ("new", secret(2)), ("own", format!("whsk_{}", STANDARD.encode(seed)))];
    let written = files.map(|(name, text)| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{text}\n")).unwrap();
        path
    });
    let target = Outside::listen(Health::Well).await;
    let options = Options {
        url: target.url(),
        allow_private: vec!["127.0.0.0/8".parse().unwrap()],
        secret_files: written.to_vec(),
        ..Options::default()
    };
    let rig = Rig::start(&options);
    rig.webhook.send(&order(1, 1, rig.now, Millis::from_mins(5), true, OrderState::Issued), false).await;
    until("it is told", async || rig.count("sent") == 1).await;
    let heard = target.heard.lock().unwrap()[0].clone();
    let signature = heard.signature.expect("signed");
    assert_eq!(signature.split(' ').count(), 3, "each secret signs: {signature}");
    let Some(python) = python() else {
        eprintln!("SKIPPED: no Python with standardwebhooks and cryptography can be had here");
        return;
    };
    let told = serde_json::json!({
        "headers": { "webhook-id": heard.id, "webhook-timestamp": heard.timestamp, "webhook-signature": signature },
        "body": std::str::from_utf8(&heard.body).unwrap(),
        "shared": [secret(1), secret(2)], "other": secret(3), "public": STANDARD.encode(pair.public_key()),
    });
    let input = folder.path().join("told.json");
    std::fs::write(&input, told.to_string()).unwrap();
    let mut verify = Command::new(python);
    let said = verify.args(["-c", VERIFY]).stdin(std::fs::File::open(&input).unwrap()).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "verified");
}
