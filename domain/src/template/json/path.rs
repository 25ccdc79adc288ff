//! Parts of JSON texts by their paths.

use super::{Json, parse};

/// The source of the value at a path of member names and indexes with dots between them; `#` is
/// the length of an array.
pub(crate) fn find(text: &str, path: &str) -> Option<String> {
    let value = parse(text).ok()?;
    let mut current = &value;
    let steps = steps(path);
    for (index, step) in steps.iter().enumerate() {
        current = match current {
            Json::Object(members) => &members.iter().find(|(name, _)| name == step)?.1,
            Json::Array(items) if step == "#" && index + 1 == steps.len() => {
                return Some(items.len().to_string());
            }
            Json::Array(items) => items.get(step.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(current.to_string())
}

/// The text with the value at the path replaced, or added.
pub(crate) fn set(text: &str, path: &str, value: &str) -> Option<String> {
    if path.is_empty() {
        return None;
    }
    let value = parse(value).ok()?;
    let mut root = if text.trim().is_empty() {
        Json::Object(Vec::new())
    } else {
        parse(text).ok()?
    };
    let steps = steps(path);
    put(&mut root, &steps, value)?;
    Some(root.to_string())
}

fn put<'a>(target: &mut Json<'a>, steps: &'a [String], value: Json<'a>) -> Option<()> {
    let Some((step, rest)) = steps.split_first() else {
        *target = value;
        return Some(());
    };
    if let Json::Array(items) = target {
        let index = if step == "-1" {
            items.len()
        } else {
            step.parse::<usize>().ok()?
        };
        if index > items.len() + 100 {
            return None;
        }
        while items.len() <= index {
            items.push(Json::Null);
        }
        return put(&mut items[index], rest, value);
    }
    if !matches!(target, Json::Object(_)) {
        *target = Json::Object(Vec::new());
    }
    let Json::Object(members) = target else {
        return None;
    };
    let known = members.iter().position(|(name, _)| name == step);
    let at = known.unwrap_or(members.len());
    if known.is_none() {
        members.push((step.into(), Json::Null));
    }
    put(&mut members[at].1, rest, value)
}

fn steps(path: &str) -> Vec<String> {
    let mut steps = vec![String::new()];
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        let step = match c {
            '.' => {
                steps.push(String::new());
                continue;
            }
            '\\' => chars.next(),
            c => Some(c),
        };
        if let Some(last) = steps.last_mut() {
            last.extend(step);
        }
    }
    steps
}
