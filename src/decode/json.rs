//! A strict reader of JSON text (RFC 8259) that walks once and keeps nothing.
//!
//! A general parser would build a tree of everything, take the last of two members with one name, and forget where
//! it was. At this door a doubled member is bad input, an unknown one is dropped and counted without being kept, and a
//! refusal names the member at fault; so the reader hands each member to the caller as it comes, and adds the names
//! of objects and lists to a refusal on its way out.
//!
//! Two ways to pass over a value: [`Reader::skip`] demands what is demanded of everything we take (names unique, depth
//! within the limit); [`Reader::scan`] checks the grammar alone, at any depth and without recursion, and serves where
//! only the end of a value is sought, or whether a text is JSON at all.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::{Reason, Rejection};

/// A place in a JSON text. Cloning it marks the place.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    depth_max: u32,
    /// Members passed over because nobody knew them.
    pub(super) dropped: u32,
}

/// What kind of value comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Object,
    Array,
    String,
    Number,
    Boolean,
    Null,
}

impl Next {
    /// With its article, for messages.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "a list",
            Self::String => "text",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::Null => "null",
        }
    }
}

impl<'a> Reader<'a> {
    /// A reader at the beginning of `bytes`, which must be UTF-8.
    pub(super) fn new(bytes: &'a [u8], depth_max: u32) -> Result<Self, Rejection> {
        let text = std::str::from_utf8(bytes)
            .map_err(|e| syntax_at(e.valid_up_to(), "the bytes are not UTF-8 from here on"))?;
        Ok(Self { text, at: 0, depth: 0, depth_max, dropped: 0 })
    }

    /// The kind of the value that comes next.
    pub(super) fn next(&mut self) -> Result<Next, Rejection> {
        match self.peek() {
            Some(b'{') => Ok(Next::Object),
            Some(b'[') => Ok(Next::Array),
            Some(b'"') => Ok(Next::String),
            Some(b'-' | b'0'..=b'9') => Ok(Next::Number),
            Some(b't' | b'f') => Ok(Next::Boolean),
            Some(b'n') => Ok(Next::Null),
            _ => Err(self.syntax("expected a value")),
        }
    }

    /// Reads an object, handing each member to `member`, which reads its value and says so with `true`; a member that
    /// is left with `false` is passed over and counted.
    pub(super) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, &str) -> Result<bool, Rejection>,
    ) -> Result<(), Rejection> {
        self.enter(b'{')?;
        let mut names = Names::default();
        if self.take(b'}') {
            self.depth -= 1;
            return Ok(());
        }
        loop {
            let name = self.name()?;
            if !names.insert(name.clone()) {
                let hint = "send each member once; which of two is meant is not ours to guess";
                return Err(Rejection::new(Reason::DuplicateMember, "stands twice in one object", hint).of(&name));
            }
            if !member(self, &name).map_err(|e| e.within(&name))? {
                let dropped = self.dropped + 1;
                self.skip().map_err(|e| e.within(&name))?;
                self.dropped = dropped;
            }
            if self.take(b',') {
                continue;
            }
            self.close(b'}', "expected `,` or `}`")?;
            return Ok(());
        }
    }

    /// Reads a list, handing each element's turn to `element`, which must read it.
    pub(super) fn array(
        &mut self,
        mut element: impl FnMut(&mut Self, usize) -> Result<(), Rejection>,
    ) -> Result<(), Rejection> {
        self.enter(b'[')?;
        if self.take(b']') {
            self.depth -= 1;
            return Ok(());
        }
        for index in 0.. {
            element(self, index).map_err(|e| e.at_index(index))?;
            if !self.take(b',') {
                break;
            }
        }
        self.close(b']', "expected `,` or `]`")
    }

    /// Reads a string; borrowed unless it holds an escape.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, Rejection> {
        if !self.take(b'"') {
            return Err(self.syntax("expected a string"));
        }
        let start = self.at;
        self.at += plain_run(&self.text.as_bytes()[start..]);
        match self.byte() {
            Some(b'"') => {
                self.at += 1;
                Ok(Cow::Borrowed(&self.text[start..self.at - 1]))
            }
            Some(b'\\') => self.escaped(start).map(Cow::Owned),
            Some(_) => Err(self.syntax("a control character stands unescaped in a string")),
            None => Err(self.syntax("the text ends within a string")),
        }
    }

    /// Reads a number. One too large for a double is refused: it would become infinite.
    pub(super) fn number(&mut self) -> Result<f64, Rejection> {
        let digits = self.number_text()?;
        let number: f64 = digits.parse().map_err(|_| self.syntax("expected a number"))?;
        if number.is_finite() {
            Ok(number)
        } else {
            Err(Rejection::invalid("is a number too large to be held", "send a finite number"))
        }
    }

    /// Reads `true` or `false`.
    pub(super) fn boolean(&mut self) -> Result<bool, Rejection> {
        if self.peek() == Some(b't') {
            self.literal("true").map(|()| true)
        } else {
            self.literal("false").map(|()| false)
        }
    }

    /// Reads `null` if it comes next.
    pub(super) fn null(&mut self) -> Result<bool, Rejection> {
        let is_null = self.peek() == Some(b'n');
        if is_null {
            self.literal("null")?;
        }
        Ok(is_null)
    }

    /// Passes over one value, demanding unique names and the depth limit within it as everywhere.
    pub(super) fn skip(&mut self) -> Result<(), Rejection> {
        match self.next()? {
            Next::Object => self.object(|r, _| r.skip().map(|()| true)),
            Next::Array => self.array(|r, _| r.skip()),
            Next::String => self.string().map(drop),
            Next::Number => self.number_text().map(drop),
            Next::Boolean => self.boolean().map(drop),
            Next::Null => self.literal("null"),
        }
    }

    /// Passes over one value, checking the grammar alone: any depth, no recursion, a byte a level.
    pub(super) fn scan(&mut self) -> Result<(), Rejection> {
        let mut open: Vec<u8> = Vec::new();
        loop {
            match self.next()? {
                Next::Object => {
                    self.at += 1;
                    if !self.take(b'}') {
                        self.name()?;
                        open.push(b'}');
                        continue;
                    }
                }
                Next::Array => {
                    self.at += 1;
                    if !self.take(b']') {
                        open.push(b']');
                        continue;
                    }
                }
                Next::String => drop(self.string()?),
                Next::Number => drop(self.number_text()?),
                Next::Boolean => drop(self.boolean()?),
                Next::Null => self.literal("null")?,
            }
            // One value is complete; so may be what it closes.
            loop {
                match open.last() {
                    None => return Ok(()),
                    Some(&close) if self.take(close) => drop(open.pop()),
                    Some(b'}') if self.take(b',') => {
                        self.name()?;
                        break;
                    }
                    Some(b']') if self.take(b',') => break,
                    Some(_) => return Err(self.syntax("expected `,` or a closing bracket")),
                }
            }
        }
    }

    /// Makes sure that nothing but white space follows.
    pub(super) fn end(&mut self) -> Result<(), Rejection> {
        self.peek().map_or(Ok(()), |_| Err(self.syntax("something follows after the end of the value")))
    }

    /// How many bytes were read.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    // Small steps

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.byte()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_it = self.peek() == Some(byte);
        self.at += usize::from(is_it);
        is_it
    }

    fn literal(&mut self, word: &str) -> Result<(), Rejection> {
        self.peek();
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.syntax("expected a value"))
        }
    }

    /// A member's name and the colon after it.
    fn name(&mut self) -> Result<Cow<'a, str>, Rejection> {
        if self.peek() != Some(b'"') {
            return Err(self.syntax("expected a member's name in double quotes"));
        }
        let name = self.string()?;
        if self.take(b':') { Ok(name) } else { Err(self.syntax("expected `:` after a member's name")) }
    }

    fn enter(&mut self, open: u8) -> Result<(), Rejection> {
        if !self.take(open) {
            return Err(self.syntax(if open == b'{' { "expected an object" } else { "expected a list" }));
        }
        self.depth += 1;
        if self.depth > self.depth_max {
            let detail = format!("objects and lists are nested more than {} deep", self.depth_max);
            return Err(Rejection::new(Reason::TooDeep, detail, "send a flatter event"));
        }
        Ok(())
    }

    fn close(&mut self, close: u8, otherwise: &str) -> Result<(), Rejection> {
        if !self.take(close) {
            return Err(self.syntax(otherwise));
        }
        self.depth -= 1;
        Ok(())
    }

    /// The digits of a number, by the grammar: no leading zero, no bare point, no sign but minus.
    fn number_text(&mut self) -> Result<&'a str, Rejection> {
        self.peek();
        let start = self.at;
        self.at += usize::from(self.byte() == Some(b'-'));
        if self.byte() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<(), Rejection> {
        let start = self.at;
        while self.byte().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(self.syntax("expected a digit")) }
    }

    /// The rest of a string from its first escape on; `start` is where it began.
    fn escaped(&mut self, start: usize) -> Result<String, Rejection> {
        let mut text = self.text[start..self.at].to_owned();
        loop {
            let plain = self.at;
            self.at += plain_run(&self.text.as_bytes()[plain..]);
            text.push_str(&self.text[plain..self.at]);
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                Some(_) => return Err(self.syntax("a control character stands unescaped in a string")),
                None => return Err(self.syntax("the text ends within a string")),
            }
        }
    }

    /// The character of an escape, after its backslash.
    fn escape(&mut self) -> Result<char, Rejection> {
        let kind = self.byte();
        self.at += 1;
        Ok(match kind {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.syntax("an escape that JSON does not know")),
        })
    }

    fn unicode(&mut self) -> Result<char, Rejection> {
        let unit = self.hex4()?;
        let code = match unit {
            0xd800..=0xdbff => {
                let pair = self.text.as_bytes()[self.at..].starts_with(b"\\u");
                self.at += if pair { 2 } else { 0 };
                let low = if pair { self.hex4()? } else { 0 };
                if !(0xdc00..=0xdfff).contains(&low) {
                    return Err(self.syntax("a lone surrogate"));
                }
                0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
            }
            unit => unit,
        };
        char::from_u32(code).ok_or_else(|| self.syntax("a lone surrogate"))
    }

    fn hex4(&mut self) -> Result<u32, Rejection> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).unwrap_or_default();
        if digits.len() < 4 {
            return Err(self.syntax("the text ends within an escape"));
        }
        let mut unit = 0;
        for &digit in digits {
            let value =
                char::from(digit).to_digit(16).ok_or_else(|| self.syntax("expected four hexadecimal digits"))?;
            unit = unit << 4 | value;
        }
        self.at += 4;
        Ok(unit)
    }

    fn syntax(&self, what: &str) -> Rejection {
        syntax_at(self.at.min(self.text.len()), what)
    }
}

/// How many bytes stand before the first quote, backslash or control character, or before the end. Eight at a time: in
/// each byte of a word the highest bit is made to say "this one", exactly for the first that is.
fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let mut at = 0;
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*eight);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let found = (quote | backslash | below(word, 0x20)) & HIGH;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + bytes[at..].iter().take_while(|b| !matches!(b, b'"' | b'\\' | 0..=0x1f)).count()
}

fn syntax_at(byte: usize, what: &str) -> Rejection {
    Rejection::new(Reason::Json, format!("{what}, at byte {byte}"), "send one JSON text in UTF-8 (RFC 8259)")
}

/// The names seen in one object. A few are compared directly, and only where a bit of them is already there; a hostile
/// many go into an ordered set.
struct Names<'a> {
    few: [Cow<'a, str>; Names::FEW],
    count: usize,
    /// One bit of 64 for each of the few.
    bits: u64,
    many: BTreeSet<Cow<'a, str>>,
}

impl Default for Names<'_> {
    fn default() -> Self {
        Self { few: [const { Cow::Borrowed("") }; Self::FEW], count: 0, bits: 0, many: BTreeSet::new() }
    }
}

impl<'a> Names<'a> {
    const FEW: usize = 16;

    /// Whether the name is new.
    fn insert(&mut self, name: Cow<'a, str>) -> bool {
        let bit = Self::bit(&name);
        if self.bits & bit != 0 && self.few[..self.count].contains(&name) {
            return false;
        }
        if self.count < Self::FEW {
            self.few[self.count] = name;
            self.count += 1;
            self.bits |= bit;
            return true;
        }
        self.many.insert(name)
    }

    fn bit(name: &str) -> u64 {
        let (first, last) = (name.bytes().next().unwrap_or(0), name.bytes().next_back().unwrap_or(0));
        1 << (first.wrapping_mul(5).wrapping_add(last.wrapping_mul(3)).wrapping_add(name.len().to_le_bytes()[0]) & 63)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(text: &[u8]) -> Result<(), Rejection> {
        let mut reader = Reader::new(text, 64)?;
        reader.skip()?;
        reader.end()
    }

    #[test]
    fn name_is_refused_the_second_time_however_written_and_however_many() {
        for text in [r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#, r#"[{"b":{"a":1,"a":1}}]"#] {
            assert_eq!(whole(text.as_bytes()).unwrap_err().reason, Reason::DuplicateMember, "{text}");
        }
        let mut many: Vec<String> = (0..2_000).map(|n| format!(r#""k{n}":0"#)).collect();
        assert_eq!(whole(format!("{{{}}}", many.join(",")).as_bytes()), Ok(()));
        many.push(r#""k1999":0"#.to_owned());
        let twice = whole(format!("{{{}}}", many.join(",")).as_bytes()).unwrap_err();
        assert_eq!((twice.reason, twice.field.as_deref()), (Reason::DuplicateMember, Some("k1999")));
    }

    #[test]
    fn surrogates_must_come_in_pairs() {
        let mut reader = Reader::new(br#""\ud83d\ude00 \u706b""#, 4).unwrap();
        assert_eq!(reader.string().unwrap(), "😀 火");
        for lone in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83dx""#, r#""\ud83d\u0041""#, r#""\ud83d\n""#] {
            assert_eq!(whole(lone.as_bytes()).unwrap_err().reason, Reason::Json, "{lone}");
        }
    }

    #[test]
    fn plain_run_ends_at_the_first_special_byte_wherever_it_stands() {
        for special in [b'"', b'\\', 0, 0x1f, b'\n'] {
            for at in 0..20 {
                let mut bytes = "火a\u{7f}\u{80}🚒 !#[]".repeat(3).into_bytes();
                bytes[at] = special;
                bytes[at + 1] = b'"';
                assert_eq!(plain_run(&bytes), at);
            }
        }
        for length in 0..20 {
            assert_eq!(plain_run(&"~".repeat(length).into_bytes()), length);
        }
    }

    #[test]
    fn depth_is_bounded_for_skip_and_free_for_scan() {
        let deep = |n| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert_eq!(whole(deep(64).as_bytes()), Ok(()));
        assert_eq!(whole(deep(65).as_bytes()).unwrap_err().reason, Reason::TooDeep);
        let text = deep(100_000);
        let mut reader = Reader::new(text.as_bytes(), 64).unwrap();
        assert_eq!(reader.scan().and_then(|()| reader.end()), Ok(()));
    }

    #[test]
    fn infinite_number_is_no_number() {
        let mut reader = Reader::new(b"1e999", 4).unwrap();
        assert_eq!(reader.number().unwrap_err().reason, Reason::Invalid);
    }

    proptest! {
        /// The grammar is the one `serde_json` accepts, by both ways through a value, whatever bytes come.
        #[test]
        fn grammar_agrees_with_serde_json(
            text in "[\\[\\]{}\",:0-9a\\\\eE+.\\- \\ntrufalsn火\u{1f}]{0,24}",
            tokens in proptest::collection::vec(proptest::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"a\"", "\"b\"", "1", "-0.5e3", "null", "true", " ", "\"\\ud83d\"", "01",
            ]), 0..16),
        ) {
            for text in [text, tokens.concat()] {
                let theirs = serde_json::from_str::<serde_json::Value>(&text);
                // Where a number is too large for it, `serde_json` stops before it has seen the rest.
                if theirs.as_ref().is_err_and(|e| e.to_string().contains("out of range")) {
                    continue;
                }
                let scanned = Reader::new(text.as_bytes(), 64).and_then(|mut r| r.scan().and_then(|()| r.end()));
                prop_assert_eq!(scanned.is_ok(), theirs.is_ok(), "{:?} {:?} {:?}", text, theirs, scanned);
                match whole(text.as_bytes()) {
                    Ok(()) => prop_assert!(theirs.is_ok()),
                    Err(e) => prop_assert!(theirs.is_err() || e.reason == Reason::DuplicateMember, "{:?} {}", text, e),
                }
            }
        }
    }
}
