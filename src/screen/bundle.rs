//! The files of the pages, as they are served: with their digest in their addresses, and compressed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::HeaderValue;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// In a release within the program; a debug build reads them from `web/`, so that a change shows without a build.
#[derive(rust_embed::Embed)]
#[folder = "web/"]
struct Files;

/// How a page writes the folder of what it names; the digest takes the place of the sign.
const FOLDER: &str = "/app/~/";
/// How the worker writes the list of all files.
const LIST: &str = "[/* every file */]";
/// Served under addresses of their own, with what they name filled in.
const PAGES: [&str; 5] = ["index.html", "post.html", "sign-in.html", "post.webmanifest", "post-worker.js"];

const DIGEST_CHARS: usize = 12;
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK: HeaderValue = HeaderValue::from_static("no-cache");

/// A file, ready to be sent.
#[derive(Clone, Debug)]
pub struct Served {
    /// As it is.
    pub plain: Bytes,
    /// Compressed.
    pub gzip: Bytes,
    /// Its content type.
    pub kind: HeaderValue,
    /// How long a browser may keep it.
    pub keep: HeaderValue,
    /// Its `ETag`.
    pub tag: String,
    /// The page registers a worker.
    pub worker: bool,
}

/// All files of one digest.
#[derive(Debug)]
pub struct Bundle {
    digest: String,
    pages: BTreeMap<String, Served>,
    files: BTreeMap<String, Served>,
}

impl Bundle {
    /// Of these files: names with `/`, and what they hold.
    #[must_use]
    pub fn of(files: &BTreeMap<String, Cow<'static, [u8]>>) -> Self {
        let mut hasher = blake3::Hasher::new();
        for (name, bytes) in files {
            hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        }
        let mut digest = hasher.finalize().to_hex().to_string();
        digest.truncate(DIGEST_CHARS);
        let (pages, assets): (Vec<_>, Vec<_>) = files.iter().partition(|(name, _)| PAGES.contains(&name.as_str()));
        let folder = FOLDER.replace('~', &digest);
        let list: Vec<String> = assets.iter().map(|(name, _)| format!("{folder}{name}")).collect();
        let list = serde_json::to_string(&list).unwrap_or_default();
        let filled =
            |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(FOLDER, &folder).replace(LIST, &list).into_bytes();
        let tag = format!("\"{digest}\"");
        let page = |(name, bytes): (&String, &Cow<'_, [u8]>)| (name.clone(), served(name, filled(bytes), ASK, &tag));
        let file =
            |(name, bytes): (&String, &Cow<'_, [u8]>)| (name.clone(), served(name, bytes.to_vec(), FOREVER, &tag));
        Self { pages: pages.into_iter().map(page).collect(), files: assets.into_iter().map(file).collect(), digest }
    }

    /// A page.
    #[must_use]
    pub fn page(&self, name: &str) -> Option<Served> {
        self.pages.get(name).cloned()
    }

    /// A file of this digest.
    #[must_use]
    pub fn file(&self, digest: &str, name: &str) -> Option<Served> {
        self.files.get(name).filter(|_| digest == self.digest).cloned()
    }
}

/// The bundle, made when it is first asked for; with the newest change of its files.
#[derive(Clone, Debug, Default)]
pub struct Pages(Arc<Mutex<Made>>);

type Made = Option<(u64, Arc<Bundle>)>;

impl Pages {
    /// In a release always the same; in a debug build made anew when a file has changed.
    #[must_use]
    pub fn newest(&self) -> Arc<Bundle> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = if cfg!(debug_assertions) { changed() } else { 0 };
        match &*held {
            Some((at, bundle)) if *at == changed => Arc::clone(bundle),
            _ => Arc::clone(&held.insert((changed, Arc::new(Bundle::of(&read())))).1),
        }
    }
}

fn read() -> BTreeMap<String, Cow<'static, [u8]>> {
    Files::iter().filter_map(|name| Some((name.to_string(), Files::get(&name)?.data))).collect()
}

/// When the newest file changed, in seconds.
fn changed() -> u64 {
    Files::iter().filter_map(|name| Files::get(&name)?.metadata.last_modified()).max().unwrap_or_default()
}

fn served(name: &str, plain: Vec<u8>, keep: HeaderValue, tag: &str) -> Served {
    let kind = HeaderValue::from_static(kind(name));
    let gzip = Bytes::from(gzip(&plain));
    Served { plain: plain.into(), gzip, kind, keep, tag: tag.to_owned(), worker: name == "post.html" }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing into memory does not fail.
    let _ = encoder.write_all(plain);
    encoder.finish().unwrap_or_default()
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn bundle(main: &'static str) -> Bundle {
        let page = br#"<script src="/app/~/main.js"></script>"#.as_slice();
        let worker = b"const files = [/* every file */];".as_slice();
        let files = [("index.html", page), ("main.js", main.as_bytes()), ("post-worker.js", worker)];
        Bundle::of(&files.map(|(name, bytes)| (name.to_owned(), Cow::from(bytes))).into())
    }

    #[test]
    fn a_page_names_its_files_by_the_digest_of_all() {
        let (one, two) = (bundle("let a = 1"), bundle("let a = 2"));
        assert_ne!(one.digest, two.digest, "another file, another address");
        let page = String::from_utf8(one.page("index.html").unwrap().plain.to_vec()).unwrap();
        assert_eq!(page, format!(r#"<script src="/app/{}/main.js"></script>"#, one.digest));
        let worker = String::from_utf8(one.page("post-worker.js").unwrap().plain.to_vec()).unwrap();
        assert_eq!(worker, format!(r#"const files = ["/app/{}/main.js"];"#, one.digest));
        assert!(one.file(&one.digest, "main.js").is_some());
        assert!(one.file(&two.digest, "main.js").is_none(), "a file of another program is not passed off as it");
        assert!(one.file(&one.digest, "index.html").is_none(), "a page is no file");
        let mut text = String::new();
        let gzip = one.file(&one.digest, "main.js").unwrap().gzip;
        flate2::read::GzDecoder::new(&gzip[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "let a = 1");
    }

    #[test]
    fn what_is_shipped_is_all_of_it_named() {
        let files = read();
        for page in PAGES {
            assert!(files.contains_key(page), "{page}");
        }
        for name in files.keys() {
            assert_ne!(kind(name), "application/octet-stream", "{name} has no content type");
        }
        // What a page names is there.
        let shipped = Bundle::of(&files);
        for page in PAGES {
            let text = String::from_utf8(shipped.page(page).unwrap().plain.to_vec()).unwrap();
            let folder = format!("/app/{}/", shipped.digest);
            for named in text.split(&folder).skip(1).map(|rest| rest.split(['"', '\'']).next().unwrap()) {
                assert!(shipped.file(&shipped.digest, named).is_some(), "{page} names {named}");
            }
        }
    }
}
