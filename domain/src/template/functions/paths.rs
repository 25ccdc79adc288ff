//! Paths, addresses and versions.

use std::fmt::Write as _;
use std::rc::Rc;

use super::{Call, Function, Type, fixed};
use crate::template::value::{Kind, Value};
use crate::webhook::go_url;

const STRING: Type = Type::String;

pub(super) static TABLE: &[Function] = &[
    fixed("base", &[STRING], |call| call.done(base(call.text(0)))),
    fixed("dir", &[STRING], |call| call.done(directory(call.text(0)))),
    fixed("clean", &[STRING], |call| call.done(clean(call.text(0)))),
    fixed("ext", &[STRING], |call| call.done(extension(call.text(0)))),
    fixed("isAbs", &[STRING], |call| {
        Ok(Value::Bool(call.text(0).starts_with('/')))
    }),
    fixed("osBase", &[STRING], |call| call.done(base(call.text(0)))),
    fixed("osDir", &[STRING], |call| {
        call.done(directory(call.text(0)))
    }),
    fixed("osClean", &[STRING], |call| call.done(clean(call.text(0)))),
    fixed("osExt", &[STRING], |call| {
        call.done(extension(call.text(0)))
    }),
    fixed("osIsAbs", &[STRING], |call| {
        Ok(Value::Bool(call.text(0).starts_with('/')))
    }),
    fixed("urlParse", &[STRING], url_parse),
    fixed("urlJoin", &[Type::Map], url_join),
];

fn base(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit('/').next() {
        _ if path.is_empty() => ".".to_owned(),
        Some("") | None => "/".to_owned(),
        Some(name) => name.to_owned(),
    }
}

fn directory(path: &str) -> String {
    clean(path.rfind('/').map_or("", |at| &path[..=at]))
}

fn extension(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rfind('.')
        .map(|at| name[at..].to_owned())
        .unwrap_or_default()
}

fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if kept.last().is_some_and(|last| *last != "..") => {
                kept.pop();
            }
            ".." if rooted => {}
            part => kept.push(part),
        }
    }
    let joined = kept.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

fn url_parse(call: &Call<'_>) -> Result<Value, String> {
    let parts = go_url::parse_reference(call.text(0))
        .map_err(|error| format!("unable to parse url: {error}"))?;
    let hostname = match parts.host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        _ => &parts.host,
    };
    let hostname = hostname
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let members = [
        ("scheme", parts.scheme),
        ("hostname", hostname),
        ("host", parts.host),
        ("path", parts.path),
        ("query", parts.query),
        ("opaque", parts.opaque),
        ("fragment", parts.fragment),
        ("userinfo", parts.userinfo.unwrap_or_default()),
    ];
    Ok(Value::map(
        members
            .map(|(name, part)| (Rc::from(name), Value::str(part)))
            .into(),
    ))
}

fn url_join(call: &Call<'_>) -> Result<Value, String> {
    let part = |name: &str| match super::member(call.arg(0), name) {
        None => Ok(String::new()),
        Some(value) if value.kind() == Kind::String => {
            Ok(value.text().map(ToString::to_string).unwrap_or_default())
        }
        Some(value) => {
            let kind = value.kind_name();
            Err(format!(
                "unable to parse {name} key, must be of type string, but {kind} found"
            ))
        }
    };
    let (scheme, host, opaque) = (part("scheme")?, part("host")?, part("opaque")?);
    let (query, fragment, userinfo) = (part("query")?, part("fragment")?, part("userinfo")?);
    let path = go_url::escape_path(&part("path")?);
    let mut url = String::new();
    if !scheme.is_empty() {
        _ = write!(url, "{scheme}:");
    }
    if opaque.is_empty() {
        let has_authority = !host.is_empty() || !userinfo.is_empty();
        if has_authority || (!scheme.is_empty() && !path.is_empty()) {
            let at = if userinfo.is_empty() { "" } else { "@" };
            _ = write!(url, "//{userinfo}{at}{host}");
        }
        if !path.is_empty() && !path.starts_with('/') && !host.is_empty() {
            url.push('/');
        }
        url.push_str(&path);
    } else {
        url.push_str(&opaque);
    }
    if !query.is_empty() {
        _ = write!(url, "?{query}");
    }
    if !fragment.is_empty() {
        _ = write!(url, "#{}", go_url::escape_path(&fragment));
    }
    call.done(url)
}
