//! The file of tokens: who there is, and the hashes of their tokens. Written by `muster token`, by hand where one must.
//!
//! ```toml
//! [[principal]]
//! id = "desk-fire-2"
//! role = "operator"
//! areas = ["4304"]                 # or ["*"]
//!
//! [[principal.token]]
//! sha256 = "9f86d0…"
//! made = "2026-11-23T08:00:00Z"
//! expires = "2027-02-21T08:00:00Z" # where it ends by itself, or by an exchange
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;
use subtle::Choice;
use toml::Spanned;

use super::principal::EVERYWHERE;
use super::{Denial, Denied, ID_RULE, Principal, Role, Token, TokenHash, is_id};
use crate::model::{PostId, Timestamp};

/// Bytes of the file.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Hashes of one principal, those whose time is over included.
const TOKENS_MAX: usize = 8;

/// Why a file of tokens cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// It cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// The system's words, and the way out.
        reason: String,
    },
    /// Something in it.
    #[error("{path}:{line}: {reason}")]
    Line {
        /// The file.
        path: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong, and the way out.
        reason: String,
    },
}

/// A token as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Of the whole token.
    pub sha256: TokenHash,
    /// When it was made.
    #[serde(with = "instant")]
    pub made: Timestamp,
    /// From when on it is no longer good.
    #[serde(default, with = "instant_or_none", skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

impl Held {
    /// Whether its time is not over.
    #[must_use]
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

/// A principal as it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: Spanned<SmolStr>,
    role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    areas: Option<Vec<SmolStr>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    post: Option<PostId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<SmolStr>,
    #[serde(default, with = "instant_or_none", skip_serializing_if = "Option::is_none")]
    revoked: Option<Timestamp>,
    #[serde(default)]
    token: Vec<Held>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    principal: Vec<Written>,
}

/// A principal with its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who.
    pub principal: Arc<Principal>,
    /// Its tokens, oldest first.
    pub tokens: Vec<Held>,
    /// When all of them were taken back.
    pub revoked: Option<Timestamp>,
}

/// Everybody who has a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keyring {
    entries: BTreeMap<SmolStr, Entry>,
    /// Of the file's text.
    hash: String,
}

impl Keyring {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or something in it is wrong.
    pub fn read(path: &Path) -> Result<Self, KeyringError> {
        let name = path.display().to_string();
        let hint = "; make one with `muster token new`";
        let wrong = |reason: String| KeyringError::File { path: name.clone(), reason };
        let file = File::open(path).map_err(|e| wrong(format!("cannot be read: {e}{hint}")))?;
        let mut text = String::new();
        let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
        read.map_err(|e| wrong(format!("cannot be read: {e}")))?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(wrong(format!("is larger than {FILE_BYTES_MAX} bytes")));
        }
        Self::parse(&name, &text)
    }

    /// Reads the text of a file called `name`.
    ///
    /// # Errors
    /// When something in it is wrong, with its line.
    pub fn parse(name: &str, text: &str) -> Result<Self, KeyringError> {
        let at = |offset: usize, reason: String| KeyringError::Line {
            path: name.to_owned(),
            line: 1 + text.bytes().take(offset).filter(|b| *b == b'\n').count(),
            reason,
        };
        let document: Document =
            toml::from_str(text).map_err(|e| at(e.span().map_or(0, |span| span.start), e.message().to_owned()))?;
        let mut keyring = Self { entries: BTreeMap::new(), hash: TokenHash::of(text).to_string() };
        for written in document.principal {
            let (start, id) = (written.id.span().start, written.id.get_ref().clone());
            // What is no id may be anything, a token that was put into the wrong place too: it is not repeated.
            let name = if is_id(&id) { format!("principal {id:?}: ") } else { String::new() };
            let entry = entry(written).map_err(|reason| at(start, format!("{name}{reason}")))?;
            if keyring.entries.insert(id.clone(), entry).is_some() {
                return Err(at(start, format!("principal {id:?}: is in the file already; ids are unique")));
            }
        }
        Ok(keyring)
    }

    // Who

    /// Whose token this is, and its hash.
    ///
    /// # Errors
    /// Whom it claims to be of, and why it is not good.
    pub fn check(&self, token: &str, now: Timestamp) -> Result<(Arc<Principal>, TokenHash), Denied> {
        let denied = |claimed: &str, why| Denied { claimed: claimed.into(), why };
        let Some(claims) = Token::parse(token) else { return Err(denied("?", Denial::Malformed)) };
        let hash = TokenHash::of(token);
        let entry = self.entries.get(claims.id);
        let (known, good) = compare(entry.map_or(&[][..], |e| &e.tokens), &hash, now);
        let Some(entry) = entry else { return Err(denied("?", Denial::Unknown)) };
        let id = entry.principal.id.as_str();
        match (bool::from(known), bool::from(good)) {
            (false, _) => Err(denied(id, Denial::Wrong)),
            _ if entry.revoked.is_some() => Err(denied(id, Denial::Revoked)),
            (true, false) => Err(denied(id, Denial::Expired)),
            (true, true) => Ok((Arc::clone(&entry.principal), hash)),
        }
    }

    /// Whether a token that was good still is.
    ///
    /// # Errors
    /// Why not.
    pub fn still(&self, id: &str, hash: &TokenHash, now: Timestamp) -> Result<Arc<Principal>, Denial> {
        let entry = self.entries.get(id).ok_or(Denial::Unknown)?;
        let token = entry.tokens.iter().find(|held| held.sha256 == *hash).ok_or(Denial::Wrong)?;
        match () {
            () if entry.revoked.is_some() => Err(Denial::Revoked),
            () if !token.is_good(now) => Err(Denial::Expired),
            () => Ok(Arc::clone(&entry.principal)),
        }
    }

    /// When this token ends by itself.
    #[must_use]
    pub fn expiry(&self, id: &str, hash: &TokenHash) -> Option<Timestamp> {
        self.entries.get(id)?.tokens.iter().find(|held| held.sha256 == *hash)?.expires
    }

    /// Everybody, by id.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Of the file's text.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    // Changes

    /// Adds a principal.
    ///
    /// # Errors
    /// When there is one of that name, or something about it is wrong.
    pub fn add(&mut self, principal: Principal, token: Held) -> Result<(), String> {
        let id = principal.id.clone();
        if self.entries.contains_key(&id) {
            return Err(format!(
                "principal {id:?} is there already; `muster token rotate {id}` makes a new token for it"
            ));
        }
        let made = entry(written(&Entry { principal: Arc::new(principal), tokens: vec![token], revoked: None }))?;
        self.entries.insert(id, made);
        Ok(())
    }

    /// Exchanges the token of a principal: the new one is good at once, what it had until `until` at most.
    ///
    /// # Errors
    /// When there is no such principal, or it was taken back.
    pub fn rotate(&mut self, id: &str, token: Held, until: Timestamp) -> Result<(), String> {
        let entry = self.entries.get_mut(id).ok_or_else(|| format!("there is no principal {id:?}"))?;
        if entry.revoked.is_some() {
            return Err(format!("principal {id:?} was revoked; make a new one"));
        }
        for held in &mut entry.tokens {
            held.expires = Some(held.expires.map_or(until, |expires| expires.min(until)));
        }
        // Of two that are still good the older one ends now: never more than two.
        let now = token.made;
        let mut good: Vec<&mut Held> = entry.tokens.iter_mut().filter(|held| held.is_good(now)).collect();
        let surplus = good.len().saturating_sub(1);
        good.iter_mut().take(surplus).for_each(|held| held.expires = Some(now));
        entry.tokens.push(token);
        let surplus = entry.tokens.len().saturating_sub(TOKENS_MAX);
        entry.tokens.drain(..surplus);
        Ok(())
    }

    /// Takes back all tokens of a principal. It stays in the file, so that the trail can say who came with one.
    ///
    /// # Errors
    /// When there is no such principal.
    pub fn revoke(&mut self, id: &str, now: Timestamp) -> Result<(), String> {
        let entry = self.entries.get_mut(id).ok_or_else(|| format!("there is no principal {id:?}"))?;
        entry.revoked = entry.revoked.or(Some(now));
        Ok(())
    }

    fn text(&self) -> String {
        let document = Document { principal: self.entries.values().map(written).collect() };
        let head =
            "# Who may do what at Muster's door. Written by `muster token`; the tokens themselves stand nowhere.\n\n";
        format!("{head}{}", toml::to_string(&document).expect("plain values have a form in TOML"))
    }
}

/// Whether one of these is the token, and whether it is good: all are looked at, whatever was found, and where there is
/// none, one of nobody.
fn compare(tokens: &[Held], hash: &TokenHash, now: Timestamp) -> (Choice, Choice) {
    let (mut known, mut good) = (TokenHash::NOBODY.is(hash) & Choice::from(0), Choice::from(0));
    for held in tokens {
        let same = held.sha256.is(hash);
        known |= same;
        good |= same & Choice::from(u8::from(held.is_good(now)));
    }
    (known, good)
}

fn entry(w: Written) -> Result<Entry, String> {
    let id = w.id.into_inner();
    let role = w.role;
    let fail = |reason: &str| Err(reason.to_owned());
    if !is_id(&id) {
        return Err(format!("an id has {ID_RULE}"));
    }
    if w.areas.as_ref().is_some_and(|areas| areas.is_empty() || areas.iter().any(SmolStr::is_empty)) {
        return fail("`areas` holds nothing or an empty name; write [\"*\"] for everywhere");
    }
    if w.areas.is_none() && role.has_areas() {
        return Err(format!(
            "`areas` is missing; a role {role} names its command areas, counties or areas, or [\"*\"]"
        ));
    }
    if w.areas.is_some() && !role.has_areas() {
        return Err(format!("a role {role} has no `areas`; take them out"));
    }
    if w.post.is_some() != (role == Role::Post) {
        return fail("`post` belongs to the role post, which cannot be without it");
    }
    if role == Role::Producer && w.source.is_none() {
        return fail("`source` is missing: what the source of its reports begins with");
    }
    if w.source.as_ref().is_some_and(SmolStr::is_empty) {
        return fail("`source` is empty");
    }
    if w.token.len() > TOKENS_MAX {
        return Err(format!("has more than {TOKENS_MAX} tokens; take out those whose time is over"));
    }
    let areas = w.areas.filter(|areas| !areas.iter().any(|a| a == EVERYWHERE)).map(Arc::from);
    let principal = Arc::new(Principal { id, role, areas, post: w.post, source: w.source });
    Ok(Entry { principal, tokens: w.token, revoked: w.revoked })
}

fn written(e: &Entry) -> Written {
    let p = &*e.principal;
    Written {
        id: Spanned::new(0..0, p.id.clone()),
        role: p.role,
        areas: p.role.has_areas().then(|| p.area_names()),
        post: p.post.clone(),
        source: p.source.clone(),
        revoked: e.revoked,
        token: e.tokens.clone(),
    }
}

/// Changes a file of tokens, alone among those who do. A new file is for its owner's eyes only; whoever reads the file sees the
/// old one or the new one, and never a half.
///
/// # Errors
/// When the file cannot be read or written, or the change is refused.
pub fn edit<T>(path: &Path, change: impl FnOnce(&mut Keyring) -> Result<T, String>) -> Result<T, KeyringError> {
    let name = path.display().to_string();
    let wrong = |reason: String| KeyringError::File { path: name.clone(), reason };
    let system = |e: std::io::Error| wrong(e.to_string());
    let beside = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(system)?;
    }
    let lock = private().create(true).truncate(false).open(beside(".lock")).map_err(system)?;
    lock.lock().map_err(system)?;
    let mut keyring = if path.exists() { Keyring::read(path)? } else { Keyring::default() };
    let changed = change(&mut keyring).map_err(wrong)?;
    let draft = beside(".new");
    let mut file = private().create(true).truncate(true).open(&draft).map_err(system)?;
    file.write_all(keyring.text().as_bytes()).and_then(|()| file.sync_all()).map_err(system)?;
    // Whoever could read it before still can.
    if let Ok(before) = fs::metadata(path) {
        fs::set_permissions(&draft, before.permissions()).map_err(system)?;
    }
    fs::rename(&draft, path).map_err(system)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(system)?;
    Ok(changed)
}

fn private() -> fs::OpenOptions {
    let mut options = File::options();
    options.write(true).mode(0o600);
    options
}

/// What tells one state of a file from another without reading it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen(Option<(u64, u64, i64, i64)>);

impl Seen {
    /// The file as it is now.
    pub fn of(path: &Path) -> Self {
        Self(fs::metadata(path).ok().map(|m| (m.ino(), m.len(), m.mtime(), m.mtime_nsec())))
    }
}

mod instant {
    use super::{Deserialize, Deserializer, Serializer, Timestamp};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
    pub fn serialize<S: Serializer>(at: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(at)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(d)?;
        let hint = "is no instant in quotes, such as \"2026-11-23T08:00:00Z\"";
        Timestamp::parse(&text).map_err(|_| serde::de::Error::custom(hint))
    }
}

mod instant_or_none {
    use super::{Deserializer, Serializer, Timestamp, instant};

    #[expect(clippy::ref_option, reason = "as serde asks")]
    pub fn serialize<S: Serializer>(at: &Option<Timestamp>, s: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => instant::serialize(at, s),
            None => s.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Timestamp>, D::Error> {
        instant::deserialize(d).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn principal(id: &str) -> Principal {
        Principal { id: id.into(), role: Role::Operator, areas: None, post: None, source: None }
    }

    fn token(id: &str, made: i64, expires: Option<i64>) -> (String, Held) {
        let text = Token::mint(id).unwrap().reveal().to_owned();
        let held = Held { sha256: TokenHash::of(&text), made: Timestamp(made), expires: expires.map(Timestamp) };
        (text, held)
    }

    #[test]
    fn a_token_is_good_until_it_is_exchanged_ends_or_is_taken_back() {
        let (mut keyring, (first, held)) = (Keyring::default(), token("desk-1", 0, None));
        keyring.add(principal("desk-1"), held).unwrap();
        let why = |keyring: &Keyring, text: &str, at: i64| keyring.check(text, Timestamp(at)).map_err(|d| d.why).err();
        assert_eq!(why(&keyring, &first, 10), None);
        let mut stolen = first.clone();
        stolen.replace_range(stolen.len() - 1.., if stolen.ends_with('0') { "1" } else { "0" });
        assert_eq!(why(&keyring, &stolen, 10), Some(Denial::Wrong));
        assert_eq!(why(&keyring, &first.replace("desk-1", "desk-2"), 10), Some(Denial::Unknown));
        assert_eq!(why(&keyring, "mst_desk-1_x", 10), Some(Denial::Malformed));

        let (second, held) = token("desk-1", 100, Some(5_000));
        keyring.rotate("desk-1", held, Timestamp(200)).unwrap();
        for (text, at, expected) in [
            (&first, 199, None),
            (&second, 199, None),
            (&first, 200, Some(Denial::Expired)),
            (&second, 4_999, None),
            (&second, 5_000, Some(Denial::Expired)),
        ] {
            assert_eq!(why(&keyring, text, at), expected, "at {at}");
        }
        // A third within the overlap: the oldest ends at once.
        let (third, held) = token("desk-1", 150, None);
        keyring.rotate("desk-1", held, Timestamp(300)).unwrap();
        assert_eq!(why(&keyring, &first, 151), Some(Denial::Expired));
        assert_eq!((why(&keyring, &second, 151), why(&keyring, &third, 151)), (None, None));
        keyring.revoke("desk-1", Timestamp(160)).unwrap();
        assert_eq!(why(&keyring, &third, 161), Some(Denial::Revoked));
        assert_eq!(why(&keyring, &stolen, 161), Some(Denial::Wrong), "whoever lacks the secret is not told of it");
        let hash = TokenHash::of(&third);
        assert_eq!(keyring.still("desk-1", &hash, NOW), Err(Denial::Revoked));
    }

    #[test]
    fn a_file_is_read_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/tokens.toml");
        let (text, held) = token("S-001", 0, Some(2_000_000));
        let post = Principal {
            id: "S-001".into(),
            role: Role::Post,
            areas: None,
            post: Some("S-001".into()),
            source: Some("terminal/S-001".into()),
        };
        edit(&path, |k| k.add(post.clone(), held)).unwrap();
        let before = Seen::of(&path);
        let areas: Arc<[SmolStr]> = Arc::from(["430408".into()]);
        let desk = Principal { areas: Some(areas), ..principal("desk-1") };
        edit(&path, |k| k.add(desk.clone(), token("desk-1", 0, None).1)).unwrap();
        assert_ne!(before, Seen::of(&path));
        let read = Keyring::read(&path).unwrap();
        assert_eq!(*read.check(&text, NOW).unwrap().0, post);
        assert_eq!(*read.get("desk-1").unwrap().principal, desk);
        let written = fs::read_to_string(&path).unwrap();
        assert!(!written.contains(&text) && !written.contains(text.rsplit('_').next().unwrap()));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let twice = edit(&path, |k| k.add(desk.clone(), token("desk-1", 0, None).1)).unwrap_err().to_string();
        assert!(twice.contains("tokens.toml") && twice.contains("rotate"), "{twice}");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_the_way_out() {
        let refused = |text: &str| Keyring::parse("tokens.toml", text).unwrap_err().to_string();
        for (text, line, part) in [
            ("[[principal]]\nid = \"a b\"\nrole = \"viewer\"\nareas = [\"*\"]\n", 2, "letters"),
            ("\n[[principal]]\nid = \"a\"\nrole = \"boss\"\n", 4, "unknown variant `boss`"),
            ("[[principal]]\nid = \"a\"\nrole = \"open\"\n", 3, "unknown variant `open`"),
            ("[[principal]]\nid = \"a\"\nrole = \"viewer\"\n", 2, "`areas` is missing"),
            ("[[principal]]\nid = \"a\"\nrole = \"viewer\"\nareas = []\n", 2, "everywhere"),
            ("[[principal]]\nid = \"a\"\nrole = \"post\"\n", 2, "`post`"),
            ("[[principal]]\nid = \"a\"\nrole = \"producer\"\n", 2, "`source` is missing"),
            ("[[principal]]\nid = \"a\"\nrole = \"metrics\"\nname = \"x\"\n", 4, "unknown field `name`"),
            (
                "[[principal]]\nid = \"a\"\nrole = \"metrics\"\n[[principal]]\nid = \"a\"\nrole = \"metrics\"\n",
                5,
                "unique",
            ),
            (
                "[[principal]]\nid = \"a\"\nrole = \"metrics\"\n[[principal.token]]\nsha256 = \"12\"\nmade = \"2026-01-01T00:00:00Z\"\n",
                5,
                "SHA-256",
            ),
        ] {
            let said = refused(text);
            assert!(said.starts_with(&format!("tokens.toml:{line}: ")) && said.contains(part), "{text}{said}");
        }
        // A token in the wrong place is not repeated in a log.
        let secret = token("a", 0, None).0;
        for place in ["id = \"T\"\nrole = \"metrics\"", "id = \"a\"\nrole = \"metrics\"\ntoken = [{ sha256 = \"T\" }]"]
        {
            let said = refused(&format!("[[principal]]\n{}\n", place.replace('T', &secret)));
            assert!(!said.contains(&secret), "{said}");
        }
    }
}
