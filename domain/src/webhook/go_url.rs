//! Addresses as Go's `net/url` and the validator of Compass judge them.
//!
//! Go accepts more than the URL standard does (`*`, `mailto:`, spaces in a path), and Compass
//! clients see its error texts, so its rules are followed here rather than those of a URL library.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::LazyLock;

use regex::Regex;

/// The parts of an address that templates can ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub scheme: String,
    pub opaque: String,
    pub userinfo: Option<String>,
    pub host: String,
    pub path: String,
    pub query: String,
    pub fragment: String,
}

/// Whether Go's `url.ParseRequestURI` accepts the address; the error is its text.
pub fn parse_request_uri(raw: &str) -> Result<(), String> {
    parse(raw, true)
        .map(drop)
        .map_err(|error| in_context(raw, &error))
}

/// Go's `url.Parse`.
pub(crate) fn parse_reference(raw: &str) -> Result<Parts, String> {
    let (address, fragment) = raw.split_once('#').unwrap_or((raw, ""));
    let mut parts = parse(address, false).map_err(|error| in_context(address, &error))?;
    parts.fragment = unescape(fragment, Part::Path).map_err(|error| in_context(raw, &error))?;
    Ok(parts)
}

/// Whether the validator of Compass takes the text for a URL: with or without a scheme, and only
/// with schemes of the web.
pub fn is_url(text: &str) -> bool {
    if text.len() <= 3 || text.chars().count() >= 2083 || text.starts_with('.') {
        return false;
    }
    let parsed = if text.contains(':') && !text.contains("://") {
        parse_reference(&format!("http://{text}"))
    } else {
        parse_reference(text)
    };
    let Ok(parts) = parsed else { return false };
    let hostless = parts.host.is_empty() && !parts.path.is_empty() && !parts.path.contains('.');
    !parts.host.starts_with('.') && !hostless && URL.as_ref().is_some_and(|url| url.is_match(text))
}

static URL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    const BLANK: &str = r"[^\t\n\x0C\r ]";
    const IPV4: &str = r"(?:[1-9][0-9]?|1[0-9]{2}|2[01][0-9]|22[0-3]|24[0-9]|25[0-5])(?:\.(?:[0-9]{1,2}|1[0-9]{2}|2[0-4][0-9]|25[0-5])){2}(?:\.(?:[0-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5]))";
    const LABEL: &str = r"[a-zA-Z0-9](?:[a-zA-Z0-9_-]+)?[a-zA-Z0-9](?:[-.][a-zA-Z0-9]+)*";
    const SUBDOMAIN: &str =
        r"(?:(?:www\.)|(?:[a-zA-Z0-9]+(?:[-_.]?[a-zA-Z0-9])*[a-zA-Z0-9]\.[a-zA-Z0-9]+))";
    const WIDE: &str = r"[a-zA-Z\x{00a1}-\x{ffff}0-9]";
    const TOP: &str = r"(?:\.(?:[a-zA-Z\x{00a1}-\x{ffff}]+))?";
    let pattern = format!(
        r"^(?:(?:ftp|tcp|udp|wss?|https?)://)?(?:{BLANK}+(?::{BLANK}*)?@)?(?:(?:{IPV4}|\[[0-9a-fA-F:.%]+\]|(?:(?:{LABEL})|(?:{SUBDOMAIN}?))?(?:(?:{WIDE}+-?-?)*{WIDE}+){TOP}))\.?(?::[0-9]{{1,5}})?(?:[/?#]{BLANK}*)?$"
    );
    Regex::new(&pattern).ok()
});

fn in_context(raw: &str, error: &str) -> String {
    format!("parse {}: {error}", crate::template::quoted(raw))
}

fn parse(raw: &str, is_request: bool) -> Result<Parts, String> {
    if raw.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    if raw.is_empty() && is_request {
        return Err("empty url".to_owned());
    }
    let mut parts = Parts::default();
    if raw == "*" {
        "*".clone_into(&mut parts.path);
        return Ok(parts);
    }
    let (scheme, rest) = split_scheme(raw)?;
    parts.scheme = scheme.to_ascii_lowercase();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    query.clone_into(&mut parts.query);
    if !rest.starts_with('/') {
        if !parts.scheme.is_empty() {
            rest.clone_into(&mut parts.opaque);
            return Ok(parts);
        }
        if is_request {
            return Err("invalid URI for request".to_owned());
        }
        if rest
            .split('/')
            .next()
            .is_some_and(|segment| segment.contains(':'))
        {
            return Err("first path segment in URL cannot contain colon".to_owned());
        }
    }
    let may_have_host = !parts.scheme.is_empty() || (!is_request && !rest.starts_with("///"));
    let mut path = rest;
    if may_have_host && let Some(authority) = rest.strip_prefix("//") {
        let end = authority.find('/').unwrap_or(authority.len());
        path = &authority[end..];
        parse_authority(&mut parts, &authority[..end])?;
    }
    parts.path = unescape(path, Part::Path)?;
    Ok(parts)
}

fn split_scheme(raw: &str) -> Result<(&str, &str), String> {
    for (at, byte) in raw.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err("missing protocol scheme".to_owned()),
            b':' => return Ok((&raw[..at], &raw[at + 1..])),
            _ => break,
        }
    }
    Ok(("", raw))
}

fn parse_authority(parts: &mut Parts, authority: &str) -> Result<(), String> {
    let (userinfo, host) = match authority.rsplit_once('@') {
        Some((userinfo, host)) => (Some(userinfo), host),
        None => (None, authority),
    };
    parts.host = parse_host(host)?;
    if let Some(userinfo) = userinfo {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
        if !userinfo.chars().all(allowed) {
            return Err("net/url: invalid userinfo".to_owned());
        }
        unescape(userinfo, Part::Path)?;
        parts.userinfo = Some(userinfo.to_owned());
    }
    Ok(())
}

fn parse_host(host: &str) -> Result<String, String> {
    let check_port = |port: &str| match port.strip_prefix(':') {
        None if port.is_empty() => Ok(()),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(()),
        _ => Err(format!(
            "invalid port {} after host",
            crate::template::quoted(port)
        )),
    };
    match host.rfind('[') {
        Some(0) => {
            let end = host
                .rfind(']')
                .ok_or_else(|| "missing ']' in host".to_owned())?;
            check_port(&host[end + 1..])?;
            let name = &host[1..end];
            let (address, zone) = name.split_once("%25").unwrap_or((name, ""));
            let address = unescape(address, Part::Host)?;
            match address.parse::<IpAddr>() {
                Ok(IpAddr::V6(_)) => {}
                Ok(IpAddr::V4(_)) => return Err("invalid IP-literal".to_owned()),
                Err(_) => {
                    let address = crate::template::quoted(&address);
                    return Err(format!(
                        "invalid host: ParseAddr({address}): unable to parse IP"
                    ));
                }
            }
            let zone = if zone.is_empty() {
                String::new()
            } else {
                format!("%{zone}")
            };
            return Ok(format!("[{address}{zone}]{}", &host[end + 1..]));
        }
        Some(_) => return Err("invalid IP-literal".to_owned()),
        None => {}
    }
    if let Some(colon) = host.rfind(':') {
        check_port(&host[colon..])?;
    }
    unescape(host, Part::Host)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Host,
    Path,
}

/// Undoes percent-encoding. In a host only bytes beyond ASCII may be encoded.
fn unescape(text: &str, part: Part) -> Result<String, String> {
    if part == Part::Path && !text.contains('%') {
        return Ok(text.to_owned());
    }
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            let code = bytes
                .get(at + 1..at + 3)
                .and_then(|code| std::str::from_utf8(code).ok());
            let code = code.filter(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let value = code.and_then(|code| u8::from_str_radix(code, 16).ok());
            let allowed = |value: &u8| part == Part::Path || *value >= 0x80 || *value == b'%';
            let Some(value) = value.filter(allowed) else {
                let end = (at + 3).min(bytes.len());
                let code = String::from_utf8_lossy(&bytes[at..end]);
                return Err(format!(
                    "invalid URL escape {}",
                    crate::template::quoted(&code)
                ));
            };
            plain.push(value);
            at += 3;
        } else {
            let in_host = byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte);
            if part == Part::Host && byte < 0x80 && !in_host {
                let found = crate::template::quoted(&char::from(byte).to_string());
                return Err(format!("invalid character {found} in host name"));
            }
            plain.push(byte);
            at += 1;
        }
    }
    Ok(String::from_utf8_lossy(&plain).into_owned())
}

/// Percent-encodes what may not stand in a path.
pub(crate) fn escape_path(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@!'()*".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}
