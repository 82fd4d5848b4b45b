//! Show 2: where a webhook may not lead.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use muster::deliver::log::{Did, Log, Query};
use muster::deliver::webhook::guard::{Guard, Lookup, special};
use muster::deliver::webhook::{Options, Webhook};
use muster::engine::DeliveryOutcome;
use muster::model::{Millis, OrderState};
use muster::telemetry::Metrics;

use crate::channel::{Rig, order};
use crate::outside::{Health, Outside, trap, until};

/// Answers as it is told, the last answer again and again, and counts the questions.
#[derive(Default)]
struct Answers {
    next: Mutex<Vec<Vec<IpAddr>>>,
    asked: Mutex<usize>,
}

impl Lookup for Answers {
    fn addresses(&self, _: &str) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> {
        *self.asked.lock().unwrap() += 1;
        let mut next = self.next.lock().unwrap();
        let answer = if next.len() > 1 { next.remove(0) } else { next[0].clone() };
        Box::pin(async { Ok(answer) })
    }
}

fn refused(url: &str, allow: &[&str]) -> Option<String> {
    let allow_private = allow.iter().map(|range| range.parse().unwrap()).collect();
    let options = Options { url: url.to_owned(), allow_private, ..Options::default() };
    let rig = (Arc::new(Metrics::new()), Log::in_memory(1));
    let told = Rig::start(&Options { url: String::from("http://x.example/"), ..Options::default() }).told;
    Webhook::start(&options, String::new(), &rig.0, &rig.1, told).err().map(|e| e.to_string())
}

#[tokio::test]
async fn an_address_in_a_url_is_refused_in_every_spelling() {
    for host in [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "0x7f.1",
        "127.0.0.1.",
        "１２７.０.０.１",
        "①②⑦.⓪.⓪.①",
        "%31%32%37.0.0.1",
        "0",
        "0.0.0.0",
        "10.0.0.1",
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "93.184.216.34",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:db8::1]",
    ] {
        let said = refused(&format!("http://{host}/hook"), &[]).unwrap_or_else(|| panic!("{host} was taken"));
        assert!(said.contains("allow_private"), "{host}: {said}");
    }
    // A zone names an interface of this machine; the parser knows no such host.
    for url in
        ["http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "ftp://x.example/", "file:///etc/passwd", "gopher://x/"]
    {
        assert!(refused(url, &["::/0", "0.0.0.0/0"]).is_some(), "{url} was taken");
    }
    assert_eq!(refused("http://127.0.0.1:9/", &["127.0.0.1/32"]), None, "what is allowed is served");
    assert_eq!(refused("http://[::ffff:10.1.2.3]/", &["10.1.0.0/16"]), None, "in any dress");
    assert!(refused("http://10.2.0.1/", &["10.1.0.0/16"]).is_some());
    assert_eq!(refused("https://hook.example/muster", &[]), None);
}

#[test]
fn what_is_not_of_the_public_internet_is_known() {
    let kind = |address: &str| special(address.parse().unwrap());
    for address in [
        "0.1.2.3",
        "10.255.255.255",
        "100.127.0.1",
        "127.255.0.1",
        "169.254.169.254",
        "172.31.0.1",
        "192.0.0.8",
        "192.0.2.1",
        "192.168.0.1",
        "198.19.0.1",
        "203.0.113.5",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "168.63.129.16",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "::10.0.0.1",
        "64:ff9b::a00:1",
        "fe80::1",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001::1",
        "2001:db8::1",
        "2002:a00:1::",
        "3fff::1",
        "4000::1",
    ] {
        assert!(kind(address).is_some(), "{address} passes for public");
    }
    for address in ["1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2400:3200::1"] {
        assert_eq!(kind(address), None, "{address}");
    }
}

#[tokio::test]
async fn a_name_that_resolves_to_a_private_address_is_never_connected_to() {
    let (trap, reached) = trap().await;
    let answers = ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "169.254.169.254", "fd00::1", "0.0.0.0"];
    for answer in answers {
        let lookup = Answers { next: Mutex::new(vec![vec![answer.parse().unwrap()]]), ..Answers::default() };
        let url = format!("http://hook.example:{}/", trap.port());
        let options = Options { url, retry: vec![Millis(0), Millis(10)], ..Options::default() };
        let rig = Rig::asking(&options, Arc::new(lookup));
        rig.webhook.send(&order(1, 1, rig.now, Millis::from_mins(5), true, OrderState::Issued), false).await;
        until("it was given up", async || rig.count("gave-up") == 1).await;
        let (lines, _) = rig.log.find(&Query { did: Some(Did::Failed), limit: 9, ..Query::default() });
        assert!(lines[0].reason.contains("resolves to"), "{answer}: {:?}", lines[0].reason);
        let outcomes = rig.told.outcomes.lock().unwrap();
        assert_eq!(outcomes[0].2, DeliveryOutcome::Failed, "an address that is refused is a failure to deliver");
    }
    assert_eq!(*reached.lock().unwrap(), 0);
}

#[tokio::test]
async fn the_connection_goes_to_what_was_checked_and_the_name_is_not_asked_again_for_it() {
    let target = Outside::listen(Health::Well).await;
    let addresses = |text: &str| vec![text.parse::<IpAddr>().unwrap()];
    // The second answer would be another, as a rebinding name server gives it.
    let lookup = Arc::new(Answers {
        next: Mutex::new(vec![addresses("127.0.0.1"), addresses("10.0.0.1")]),
        ..Answers::default()
    });
    let url = format!("http://hook.example:{}/", target.address.port());
    let allow_private = vec!["127.0.0.0/8".parse().unwrap()];
    let rig = Rig::asking(&Options { url, allow_private, ..Options::default() }, Arc::clone(&lookup) as _);
    rig.webhook.send(&order(1, 1, rig.now, Millis::from_mins(5), true, OrderState::Issued), false).await;
    until("it is told", async || rig.count("sent") == 1).await;
    assert_eq!(*lookup.asked.lock().unwrap(), 1, "one question a connection");
    assert_eq!(target.heard.lock().unwrap().len(), 1);
    // A name with one public and one private address is refused whole, and so is a later private answer.
    let both = vec!["93.184.216.34".parse().unwrap(), "10.0.0.1".parse().unwrap()];
    for answer in [both, addresses("192.168.0.1")] {
        let guard = Guard::new(Arc::new(Answers { next: Mutex::new(vec![answer]), ..Answers::default() }), [].into());
        assert!(guard.resolve("hook.example").await.unwrap_err().to_string().contains("private"));
    }
}

#[tokio::test]
async fn a_file_of_targets_is_refused_with_its_line() {
    let good = "[[target]]\nname = \"a\"\nurl = \"https://a.example/\"\n";
    for (text, why) in [
        (format!("{good}{good}"), "another target has this name"),
        (format!("{good}colour = \"red\"\n"), "unknown field"),
        (format!("{good}types = [\"rejected\"]\n"), "types"),
        (format!("{good}secret_files = [\"/nowhere/secret\"]\n"), "cannot be read"),
        (String::from("[[target]]\nname = \"a b\"\nurl = \"https://a.example/\"\n"), "letters"),
        (String::from("[[target]]\nname = \"a\"\nurl = \"http://10.0.0.1/\"\n"), "allow_private"),
        (
            format!("{good}[[target]]\nname = \"b\"\nurl = \"https://a.example/\"\nallow_private = [\"10.0.0.0/8\"]\n"),
            "one host",
        ),
        (String::new(), "no [[target]]"),
    ] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let options = Options { targets: file.path().to_owned(), ..Options::default() };
        let said = muster::deliver::webhook::targets::Targets::read(&options).unwrap_err().to_string();
        let place = file.path().display().to_string();
        assert!(said.contains(why) && said.contains(&place), "{said}");
    }
}
