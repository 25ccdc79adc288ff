//! Plays what the real templates of Compass rendered, and what the real validation said.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::rc::Rc;

use serde_json::{Value as Json, json};

use super::output::Output;
use super::value::Value;
use super::{Data, Error};
use crate::webhook::{Input, Invalid, Output as Answer, Rendering, Status, Target};
use crate::webhook::{WebhookMode, WebhookType};

/// The recorded cases: another folder of the same form may be played by naming it.
#[expect(
    clippy::disallowed_methods,
    reason = "the folder to play is chosen from outside"
)]
fn folder() -> PathBuf {
    std::env::var("COMPASS_WEBHOOK_CASES").map_or_else(|_| own_folder(), PathBuf::from)
}

fn own_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/compass/webhooks")
}

fn read(name: &str) -> Json {
    let path = folder().join(name);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn cases(name: &str) -> Vec<Json> {
    read(name)["cases"].as_array().unwrap().clone()
}

/// Differences by the names of the cases, held against those that are known and explained.
fn compare(played: &BTreeSet<String>, differences: &BTreeMap<String, String>) {
    let known = match read_deviations() {
        Json::Object(known) => known,
        other => panic!("deviations.json holds {other}"),
    };
    let other_folder = folder() != own_folder();
    let kinds: BTreeSet<_> = played
        .iter()
        .filter_map(|name| name.split('/').next())
        .collect();
    let mine = |name: &&String| {
        let kind = name.split('/').next().unwrap_or_default();
        kinds.contains(kind) && (!other_folder || played.contains(*name))
    };
    let known: BTreeSet<_> = known.keys().filter(mine).cloned().collect();
    let found: BTreeSet<_> = differences.keys().cloned().collect();
    for (name, difference) in differences {
        let note = if known.contains(name) { "known" } else { "NEW" };
        println!("{note} {name}\n{difference}");
    }
    let unknown: Vec<_> = found.difference(&known).collect();
    let unused: Vec<_> = known.difference(&found).collect();
    assert!(
        unknown.is_empty() && unused.is_empty(),
        "{} differences are not in deviations.json: {unknown:?}; \
         {} entries are not needed: {unused:?}",
        unknown.len(),
        unused.len(),
    );
}

fn read_deviations() -> Json {
    let path = [folder(), own_folder()].map(|folder| folder.join("deviations.json"));
    let path = path.iter().find(|path| path.exists()).unwrap();
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A value of a text case, whose single-member objects name Go types that JSON has no form for.
fn typed(value: &Json) -> Value {
    match value {
        Json::Null => Value::Nil,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => Value::from_json(&super::json::parse(&number.to_string()).unwrap()),
        Json::String(text) => Value::str(text.as_str()),
        Json::Array(items) => Value::list(items.iter().map(typed).collect()),
        Json::Object(members) => marked(members).unwrap_or_else(|| {
            Value::map(
                members
                    .iter()
                    .map(|(k, v)| (k.as_str().into(), typed(v)))
                    .collect(),
            )
        }),
    }
}

fn marked(members: &serde_json::Map<String, Json>) -> Option<Value> {
    let (mark, value) = members.iter().next().filter(|_| members.len() == 1)?;
    let text = |value: &Json| value.as_str().map(Rc::<str>::from);
    Some(match mark.as_str() {
        "$raw" => Value::Raw(text(value)?),
        "$strptr" => Value::StrPtr(text(value)),
        "$int" => Value::Int(value.as_i64()?),
        "$strings" => Value::strings(value.as_array()?.iter().filter_map(text)),
        "$strmap" => {
            let members = value.as_object()?.iter();
            let members = members.map(|(k, v)| (k.as_str().into(), typed(v)));
            Value::StrMap(Rc::new(members.collect()))
        }
        _ => return None,
    })
}

fn render_text(template: &str, object: &Json) -> Result<Json, Rendering> {
    let data = Data {
        root: typed(object),
    };
    Ok(json!(super::run(template, &data, Output::text())?))
}

/// The answer that gives the client of Compass this body: a text that reads as the inside of a
/// JSON string that is JSON itself was no text in the answer.
fn answer(object: &Json) -> Data {
    let mut body = String::from("{");
    for (name, text) in object["Body"].as_object().into_iter().flatten() {
        let text = text.as_str().unwrap();
        let unescaped = serde_json::from_str::<String>(&format!("\"{text}\"")).ok();
        let json = unescaped
            .filter(|json| json.starts_with(['{', '[']))
            .filter(|json| serde_json::from_str::<Json>(json).is_ok());
        let value = json.unwrap_or_else(|| json!(text).to_string());
        let comma = if body.len() > 1 { "," } else { "" };
        write!(body, "{comma}{}:{value}", json!(name)).unwrap();
    }
    body.push('}');
    let headers = object["Headers"].as_object().into_iter().flatten();
    let headers: Vec<_> = headers
        .map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned()))
        .collect();
    Data::answer(&headers, body.as_bytes()).unwrap()
}

fn render(case: &Json) -> Result<Json, Rendering> {
    let template = case["template"].as_str().unwrap();
    let object = &case["object"];
    let request = || Data::request_object(&object.to_string()).unwrap();
    let present = |value: Json| match value {
        Json::Object(members) => Json::Object(
            members
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .collect(),
        ),
        value => value,
    };
    match case["kind"].as_str().unwrap() {
        "text" => render_text(template, object),
        "url" => {
            let Target { method, path } = Target::render(template, &request())?;
            Ok(json!({"method": method, "path": path}))
        }
        "input" => Ok(json!(crate::webhook::body(template, &request())?)),
        "header" => Ok(json!(crate::webhook::headers(template, &request())?)),
        "output" => Ok(present(json!(Answer::render(template, &answer(object))?))),
        "status" => Ok(json!(Status::render(template, &answer(object))?)),
        kind => panic!("unknown kind {kind}"),
    }
}

fn stage(error: &Rendering) -> &'static str {
    match error {
        Rendering::Template(Error::Parse(_)) => "parse",
        Rendering::Template(Error::Execute(_)) => "execute",
        Rendering::Shape(_) => "unmarshal",
        Rendering::Content(_) => "validate",
    }
}

#[test]
fn templates_render_as_in_compass() {
    let mut differences = BTreeMap::new();
    let mut played = BTreeSet::new();
    for case in cases("templates.json") {
        played.insert(case["name"].as_str().unwrap().to_owned());
        let ours = match render(&case) {
            Ok(value) => json!({"ok": value}),
            Err(error) => json!({"error": error.to_string(), "stage": stage(&error)}),
        };
        if ours != case["result"] {
            let template = case["template"].as_str().unwrap();
            let text = format!(
                "  template {template}\n  compass {}\n  ours    {ours}",
                case["result"]
            );
            differences.insert(case["name"].as_str().unwrap().to_owned(), text);
        }
    }
    compare(&played, &differences);
}

#[test]
fn webhooks_are_validated_as_in_compass() {
    let mut differences = BTreeMap::new();
    let mut played = BTreeSet::new();
    for case in cases("validate.json") {
        let name = format!("validate/{}", case["name"].as_str().unwrap());
        played.insert(name.clone());
        let input = &case["input"];
        let text = |name: &str| input[name].as_str().map(str::to_owned);
        let input = Input {
            kind: WebhookType::from_name(input["type"].as_str().unwrap()).unwrap(),
            mode: input["mode"].as_str().and_then(WebhookMode::from_name),
            url: text("url"),
            url_template: text("urlTemplate"),
            input_template: text("inputTemplate"),
            header_template: text("headerTemplate"),
            output_template: text("outputTemplate"),
            status_template: text("statusTemplate"),
            correlation_id_key: text("correlationIdKey"),
            retry_interval: input["retryInterval"].as_i64(),
            timeout: input["timeout"].as_i64(),
        };
        let ours = match input.validate().map_err(|error: Invalid| error.to_string()) {
            Ok(()) => json!({"ok": true}),
            Err(error) => json!({"error": error}),
        };
        if ours != case["result"] {
            let text = format!("  compass {}\n  ours    {ours}", case["result"]);
            differences.insert(name, text);
        }
    }
    compare(&played, &differences);
}
