//! Values of placeholders out of a payload, by the placeholders' JSON paths.

use serde_json::Value as Json;

use crate::registry::Error;
use crate::registry::template::Placeholder;

/// The value of each placeholder, by its path in `payload`.
pub(super) fn values(
    placeholders: &[Placeholder],
    payload: &str,
) -> Result<Vec<(String, String)>, Error> {
    let json: Json = serde_json::from_str(payload)
        .map_err(|_| Error::InvalidData("placeholdersPayload is not JSON".to_owned()))?;
    let mut values = Vec::with_capacity(placeholders.len());
    for placeholder in placeholders {
        let name = &placeholder.name;
        let path = placeholder.json_path.as_deref().unwrap_or_default();
        if path.is_empty() {
            return Err(Error::Refused(format!(
                "error occurred while converting GraphQL input to Application From Template model. \
                 Placeholder with name {name}, do not have the JSONPath."
            )));
        }
        let steps = parse(path).ok_or_else(|| {
            Error::InvalidData(format!(
                "the JSON path of placeholder {name} cannot be read"
            ))
        })?;
        let value = follow(&json, &steps).map_err(|missing| {
            Error::Refused(format!(
                "while converting GraphQL input to Application From Template model. Value for \
                 Placeholder with name {name} and path {path}, not found in payload {payload}.: \
                 {missing}"
            ))
        })?;
        values.push((name.clone(), shown(value)));
    }
    Ok(values)
}

#[derive(Debug, PartialEq)]
enum Step<'p> {
    Member(&'p str),
    Element(i64),
}

/// A path of members and elements, as in `$.a['b'][0]`.
fn parse(path: &str) -> Option<Vec<Step<'_>>> {
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(member) = rest.strip_prefix('.') {
            let end = member.find(['.', '[']).unwrap_or(member.len());
            if end == 0 {
                return None;
            }
            steps.push(Step::Member(&member[..end]));
            rest = &member[end..];
        } else {
            let inside = rest.strip_prefix('[')?;
            let end = inside.find(']')?;
            let quoted = inside[..end]
                .strip_prefix('\'')
                .and_then(|text| text.strip_suffix('\''));
            steps.push(match quoted {
                Some(member) => Step::Member(member),
                None => Step::Element(inside[..end].parse().ok()?),
            });
            rest = &inside[end + 1..];
        }
    }
    Some(steps)
}

fn follow<'j>(json: &'j Json, steps: &[Step<'_>]) -> Result<&'j Json, String> {
    let mut at = json;
    for step in steps {
        at = match step {
            Step::Member(name) => at.get(name).ok_or_else(|| format!("{name} is not found"))?,
            Step::Element(index) => element(at, *index)
                .ok_or_else(|| format!("array index out of bounds: index {index}"))?,
        };
    }
    Ok(at)
}

/// Counted from the end if negative.
fn element(json: &Json, index: i64) -> Option<&Json> {
    let items = json.as_array()?;
    let back = usize::try_from(index.unsigned_abs()).ok()?;
    let at = if index < 0 {
        items.len().checked_sub(back)?
    } else {
        back
    };
    items.get(at)
}

fn shown(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholder(path: &str) -> Placeholder {
        Placeholder {
            name: "p".to_owned(),
            description: None,
            json_path: Some(path.to_owned()),
            optional: None,
        }
    }

    #[test]
    fn a_path_leads_to_members_and_elements() {
        let payload = r#"{"a":{"b":["x",{"c d":5}]}}"#;
        for (path, expected) in [
            ("$.a.b[0]", "x"),
            ("$.a['b'][-1]['c d']", "5"),
            (".a.b[0]", "x"),
        ] {
            let found = values(&[placeholder(path)], payload).unwrap();
            assert_eq!(found[0].1, expected, "{path}");
        }
    }

    #[test]
    fn what_is_not_there_is_refused() {
        for path in ["$.a.z", "$.a.b[2]", "$..a", "$.a[", ""] {
            let refused = values(&[placeholder(path)], r#"{"a":{"b":["x"]}}"#);
            assert!(refused.is_err(), "{path}");
        }
    }
}
