//! All readings of a path that servers are known to have.
//!
//! Each change that some server makes is applied to the path, to the results, and so on until nothing new
//! results: whichever changes a server makes, in whichever order, its reading is among these.

use percent_encoding::percent_encode_byte;

use super::normal_form::{hex_pair, normal_form};
use super::path_error::PathError;

/// Returns all readings of a path in normal form, starting with the path itself.
///
/// # Errors
///
/// If there are more than `MAX_READINGS`, or they are longer than `MAX_READING_BYTES`.
pub(super) fn readings(sent: &str) -> Result<Vec<String>, PathError> {
    // A reading may not be in normal form yet.
    let mut raw: Vec<String> = vec![sent.to_owned()];
    let mut normal: Vec<String> = Vec::new();
    let mut next = 0;
    while let Some(text) = raw.get(next).cloned() {
        next += 1;
        let form = normal_form(&text);
        for change in CHANGES_OF_RAW {
            add(&mut raw, change(&text))?;
        }
        for change in CHANGES {
            add(&mut raw, change(&form))?;
        }
        if !text.is_ascii() {
            add(&mut raw, latin_1(&form))?;
        }
        if !normal.contains(&form) {
            add(&mut raw, Some(form.clone()))?;
            normal.push(form);
        }
    }
    Ok(normal)
}

fn add(raw: &mut Vec<String>, text: Option<String>) -> Result<(), PathError> {
    let Some(text) = text else { return Ok(()) };
    let text = if text.starts_with('/') { text } else { format!("/{text}") };
    if !raw.contains(&text) {
        let bytes: usize = raw.iter().map(String::len).sum();
        if raw.len() == MAX_READINGS || bytes + text.len() > MAX_READING_BYTES {
            return Err(PathError::TooManyReadings);
        }
        raw.push(text);
    }
    Ok(())
}

type Change = fn(&str) -> Option<String>;

/// Changes to paths that are not in normal form, which has no invalid escapes.
const CHANGES_OF_RAW: [Change; 4] = [
    |raw| replace_invalid(raw, |_| (String::new(), 0)),
    |raw| {
        replace_invalid(raw, |rest| {
            let length = rest.iter().take(2).take_while(|byte| **byte != b'/').count();
            (String::new(), length)
        })
    },
    |raw| replace_invalid(raw, |rest| long_escape(rest, char::from_u32)),
    // Windows maps full-width characters to ASCII.
    |raw| {
        replace_invalid(raw, |rest| {
            long_escape(rest, |unit| match unit {
                0xff01..=0xff5e => char::from_u32(unit - 0xfee0),
                _ => char::from_u32(unit),
            })
        })
    },
];

/// Changes to paths in normal form.
const CHANGES: [Change; 21] = [
    |path| replaced(path, "%2F", "/"),
    collapsed,
    without_host,
    // Some servers trim only leading slashes.
    |path| path.starts_with("//").then(|| path.trim_start_matches('/').to_owned()),
    |path| replaced(path, "\\", "/"),
    |path| replaced(path, "%5C", "\\"),
    |path| replaced(path, "\\", "%5C"),
    |path| replaced(path, "%3B", ";"),
    without_parameters,
    |path| {
        let last = path.rfind('/')?;
        let at = last + path.get(last..)?.find(';')?;
        path.get(..at).map(str::to_owned)
    },
    |path| path.split_once(';').map(|(before, _)| before.to_owned()),
    decoded_again,
    |path| path.split_once("%00").map(|(before, _)| before.to_owned()),
    |path| {
        let at = escapes(path).find(|(_, byte)| byte.is_ascii_control())?.0;
        path.get(..at).map(str::to_owned)
    },
    |path| without_bytes(path, |byte| matches!(byte, b'\t' | b'\n' | b'\r')),
    |path| without_bytes(path, |byte| byte.is_ascii_control()),
    |path| if is_utf8(path) { None } else { latin_1(path) },
    |path| if is_utf8(path) { None } else { lossy(path, "") },
    |path| if is_utf8(path) { None } else { lossy(path, "%EF%BF%BD") },
    |path| if is_utf8(path) { None } else { overlong(path, true) },
    |path| if is_utf8(path) { None } else { overlong(path, false) },
];

fn replaced(path: &str, from: &str, to: &str) -> Option<String> {
    path.contains(from).then(|| path.replace(from, to))
}

fn collapsed(path: &str) -> Option<String> {
    if !path.contains("//") {
        return None;
    }
    let mut text = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !text.ends_with('/') {
            text.push(c);
        }
    }
    Some(text)
}

/// Some URL parsers read `//a/b` as the path `/b` on a host `a`.
fn without_host(path: &str) -> Option<String> {
    let rest = path.strip_prefix("//")?;
    let slash = rest.find('/').unwrap_or(rest.len());
    rest.get(slash..).map(str::to_owned)
}

fn without_parameters(path: &str) -> Option<String> {
    if !path.contains(';') {
        return None;
    }
    let name = |segment: &str| segment.split(';').next().unwrap_or_default().to_owned();
    Some(path.split('/').map(name).collect::<Vec<_>>().join("/"))
}

fn decoded_again(path: &str) -> Option<String> {
    let mut pieces = path.split("%25");
    let mut text = pieces.next()?.to_owned();
    let mut is_changed = false;
    for piece in pieces {
        let is_escape = piece.get(..2).is_some_and(|digits| hex_pair(digits.as_bytes()).is_some());
        text.push_str(if is_escape { "%" } else { "%25" });
        text.push_str(piece);
        is_changed |= is_escape;
    }
    is_changed.then_some(text)
}

/// Returns the escapes of a path in normal form: their positions and bytes.
fn escapes(path: &str) -> impl Iterator<Item = (usize, u8)> {
    path.match_indices('%').filter_map(|(at, _)| {
        let digits = path.as_bytes().get(at + 1..at + 3)?;
        Some((at, hex_pair(digits)?))
    })
}

fn without_bytes(path: &str, is_left_out: impl Fn(u8) -> bool) -> Option<String> {
    if !escapes(path).any(|(_, byte)| is_left_out(byte)) {
        return None;
    }
    Some(encode(
        decode(path).into_iter().filter(|(byte, escaped)| !(*escaped && is_left_out(*byte))),
    ))
}

/// Returns the bytes of a path, and whether each is escaped.
fn decode(path: &str) -> Vec<(u8, bool)> {
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(byte) = bytes.get(index) {
        let escape =
            if *byte == b'%' { bytes.get(index + 1..index + 3).and_then(hex_pair) } else { None };
        decoded.push((escape.unwrap_or(*byte), escape.is_some()));
        index += if escape.is_some() { 3 } else { 1 };
    }
    decoded
}

fn encode(bytes: impl IntoIterator<Item = (u8, bool)>) -> String {
    let mut text = String::new();
    for (byte, escaped) in bytes {
        if escaped || !byte.is_ascii() {
            text.push_str(percent_encode_byte(byte));
        } else {
            text.push(char::from(byte));
        }
    }
    text
}

fn is_utf8(path: &str) -> bool {
    if !path.contains('%') {
        return true;
    }
    let bytes: Vec<u8> = decode(path).into_iter().map(|(byte, _)| byte).collect();
    str::from_utf8(&bytes).is_ok()
}

/// Reads each byte as a Latin-1 character.
fn latin_1(path: &str) -> Option<String> {
    let mut text = String::with_capacity(path.len());
    for (byte, escaped) in decode(path) {
        if byte.is_ascii() {
            text.push_str(&encode([(byte, escaped)]));
        } else {
            let mut buffer = [0; 4];
            let character = char::from(byte).encode_utf8(&mut buffer);
            text.push_str(&encode(character.bytes().map(|byte| (byte, true))));
        }
    }
    Some(text)
}

/// Replaces bytes that are not UTF-8.
fn lossy(path: &str, instead: &str) -> Option<String> {
    let decoded = decode(path);
    let bytes: Vec<u8> = decoded.iter().map(|(byte, _)| *byte).collect();
    let mut rest = decoded.iter().copied();
    let mut text = String::with_capacity(path.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(&encode(rest.by_ref().take(chunk.valid().len())));
        if !chunk.invalid().is_empty() {
            rest.by_ref().take(chunk.invalid().len()).for_each(drop);
            text.push_str(instead);
        }
    }
    Some(text)
}

/// Decodes overlong characters. Decoders that are not strict accept any continuation bytes.
fn overlong(path: &str, is_strict: bool) -> Option<String> {
    let decoded = decode(path);
    let mut text = String::with_capacity(path.len());
    let mut index = 0;
    while let Some((byte, escaped)) = decoded.get(index).copied() {
        index += 1;
        let (more, bits) = match byte {
            0xc0..=0xdf => (1, u32::from(byte & 0x1f)),
            0xe0..=0xef => (2, u32::from(byte & 0x0f)),
            0xf0..=0xf7 => (3, u32::from(byte & 0x07)),
            _ => (0, 0),
        };
        let following = decoded.get(index..index + more).unwrap_or_default();
        let is_sequence = more > 0
            && !following.is_empty()
            && (!is_strict || following.iter().all(|(byte, _)| byte & 0xc0 == 0x80));
        let number =
            following.iter().fold(bits, |number, (byte, _)| number << 6 | u32::from(byte & 0x3f));
        match char::from_u32(number).filter(|_| is_sequence) {
            Some(character) => {
                let mut buffer = [0; 4];
                let character = character.encode_utf8(&mut buffer);
                text.push_str(&encode(character.bytes().map(|byte| (byte, true))));
                index += more;
            }
            None => text.push_str(&encode([(byte, escaped)])),
        }
    }
    Some(text)
}

/// Replaces each invalid escape. `with` returns the text and how many bytes after the percent sign it
/// replaces.
fn replace_invalid(raw: &str, with: impl Fn(&[u8]) -> (String, usize)) -> Option<String> {
    let bytes = raw.as_bytes();
    let mut text: Vec<u8> = Vec::with_capacity(raw.len());
    let (mut index, mut is_changed) = (0, false);
    while let Some(byte) = bytes.get(index) {
        index += 1;
        let is_invalid = *byte == b'%' && bytes.get(index..index + 2).and_then(hex_pair).is_none();
        if is_invalid {
            let (instead, length) = with(bytes.get(index..).unwrap_or_default());
            text.extend_from_slice(instead.as_bytes());
            index += length;
            is_changed = true;
        } else {
            text.push(*byte);
        }
    }
    is_changed.then(|| String::from_utf8_lossy(&text).into_owned())
}

/// Decodes `%u0041` as Windows does, without its percent sign.
fn long_escape(rest: &[u8], character: impl Fn(u32) -> Option<char>) -> (String, usize) {
    let unit = || {
        let digits = rest.strip_prefix(b"u").or_else(|| rest.strip_prefix(b"U"))?.get(..4)?;
        let digits =
            str::from_utf8(digits).ok().filter(|it| it.bytes().all(|it| it.is_ascii_hexdigit()))?;
        character(u32::from_str_radix(digits, 16).ok()?)
    };
    match unit() {
        Some(character) => {
            let mut buffer = [0; 4];
            let character = character.encode_utf8(&mut buffer);
            (encode(character.bytes().map(|byte| (byte, true))), 5)
        }
        // Only the percent sign.
        None => ("%25".to_owned(), 0),
    }
}

/// Most readings of a path. A path with one or two kinds of ambiguity has about ten.
const MAX_READINGS: usize = 96;
/// Most bytes of all readings: comparing one reading of a long non-ASCII path takes a millisecond.
const MAX_READING_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// DOS-03
    #[test]
    fn dos_03_readings_are_bounded_in_number_and_in_bytes() {
        for path in [
            format!("/{}", "//".repeat(4_000)),
            format!("/%20%252F%zz%20%5C{}", "\u{e9}".repeat(4_000)),
            format!("/a;b//c\\d%2Fe%252Ff%00g{}", "\u{e9};//".repeat(1_500)),
        ] {
            assert_eq!(readings(&path), Err(PathError::TooManyReadings), "{path:.40}");
        }
        // Long and plain enough.
        let long = format!("/proxy/https://x.example/{}", "a".repeat(8_000));
        assert!(readings(&long).is_ok_and(|all| all.len() < 8));
    }

    #[test]
    fn path_03_to_14_all_readings_of_each_kind() {
        for (path, found) in [
            ("/a%2fb", &["/a%2Fb", "/a/b"][..]),
            ("//a//b", &["//a//b", "/a/b", "/a//b", "//b", "/b"]),
            ("/a\\b%5c", &["/a\\b%5C", "/a/b%5C", "/a/b/", "/a%5Cb%5C"]),
            ("/a;b/c;d", &["/a;b/c;d", "/a/c", "/a;b/c", "/a"]),
            ("/a%0Ab%00c", &["/a%0Ab%00c", "/a%0Ab", "/ab%00c", "/a", "/ab", "/abc"]),
            ("/%25252Fa", &["/%25252Fa", "/%252Fa", "/%2Fa", "//a", "/a"]),
            ("/%zzb%u0041", &["/%25zzb%25u0041", "/zzbu0041", "/b041", "/%25zzbA"]),
            ("/%C0%AFa", &["/%C0%AFa", "//a", "/a", "/%C3%80%C2%AFa", "/%EF%BF%BD%EF%BF%BDa"]),
            ("/\u{e4}", &["/%C3%A4", "/%C3%83%C2%A4"]),
        ] {
            let all = readings(path).unwrap();
            assert_eq!(all.first().map(String::as_str), found.first().copied());
            for one in found {
                assert!(all.iter().any(|it| it == one), "{path} as {one}: {all:?}");
            }
        }
    }
}
