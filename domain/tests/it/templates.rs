//! What holds for any template and any value.

use std::time::{Duration, Instant};

use binnacle_domain::template::{Data, render, render_json};
use binnacle_domain::webhook::{Webhook, WebhookMode, WebhookType, interpret_call};
use proptest::prelude::*;
use serde_json::{Value, json};

fn object(text: &str) -> Data {
    let object = json!({
        "Application": {"id": "1", "name": text, "description": text},
        "TenantID": text,
        "Headers": {"Client_user": text},
    });
    Data::request_object(&object.to_string()).unwrap()
}

/// Texts of all characters, with those that mean something in JSON often among them.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[\"\\\\{}\\[\\],:a-z<>\n\t\u{0}]{0,24}",
        "\\PC{0,12}"
    ]
}

proptest! {
    #[test]
    fn a_value_in_a_json_string_arrives_intact(text in any_text()) {
        let template = r#"{"name":"{{.Application.Name}}","d":"{{.Application.Description}}",
            "in":"<{{.TenantID}}>","h":{"x":["{{.Headers.Client_user}}"]},
            "f":"{{printf "%s|%v" .TenantID .Application.Description}}","last":1}"#;
        let data = object(&text);
        let rendered: Value = serde_json::from_str(&render_json(template, &data)?)?;
        prop_assert_eq!(rendered, json!({
            "name": text, "d": text, "in": format!("<{text}>"), "h": {"x": [text]},
            "f": format!("{text}|{text}"), "last": 1,
        }));
    }

    #[test]
    fn a_value_encoded_by_the_template_arrives_intact(text in any_text()) {
        let template = r#"{"a":{{toJson .Application.Name}},"b":{{toRawJson .TenantID}},
            "c":"{{toJson .Application.Description | trimPrefix "\"" | trimSuffix "\""}}"}"#;
        let data = object(&text);
        let rendered: Value = serde_json::from_str(&render_json(template, &data)?)?;
        prop_assert_eq!(rendered, json!({"a": text, "b": text, "c": text}));
    }

    #[test]
    fn no_function_lets_a_value_out_of_its_string(text in any_text(), function in 0..12_usize) {
        let function = [
            "js", "html", "quote", "squote", "toJson", "upper", "title", "trim", "stringify",
            "print", "cat", "replace \"a\" \"\\\\\"",
        ][function];
        let template = format!(r#"{{"a":"{{{{{function} .Application.Name}}}}","b":1}}"#);
        let data = object(&text);
        let rendered = render_json(&template, &data)?;
        if let Ok(Value::Object(members)) = serde_json::from_str::<Value>(&rendered) {
            let names: Vec<_> = members.keys().map(String::as_str).collect();
            prop_assert_eq!(names, ["a", "b"]);
            prop_assert_eq!(&members["b"], &json!(1));
        }
    }

    #[test]
    fn an_answers_error_arrives_intact(text in any_text()) {
        let answer = serde_json::to_vec(&json!({"error": text, "more": {"t": text}}))?;
        let template = r#"{"success_status_code":200,"error":"{{.Body.error}}",
            "state":"{{.Body.more}}"}"#;
        let data = Data::answer(&[], &answer).map_err(TestCaseError::fail)?;
        let rendered: Value = serde_json::from_str(&render_json(template, &data)?)?;
        prop_assert_eq!(&rendered["error"], &json!(text));
        let more: Value = serde_json::from_str(rendered["state"].as_str().unwrap())?;
        prop_assert_eq!(more, json!({"t": text}));
    }

    #[test]
    fn any_answer_is_concluded_upon(status in 100..600_u16, body in any::<Vec<u8>>()) {
        let webhook = webhook();
        let _ = interpret_call(&webhook, status, &[], &body);
    }

    #[test]
    fn any_template_ends(template in "[{}a-z.$()|\"' 0-9=:,-]{0,60}|(\\{\\{[ -~]{0,30}\\}\\}){0,4}") {
        let data = object("x");
        let _ = render(&template, &data);
    }
}

fn webhook() -> Webhook {
    let output = r#"{"success_status_code":200,"error":"{{.Body.error}}"}"#;
    Webhook {
        id: uuid::Uuid::nil(),
        kind: WebhookType::UnregisterApplication,
        mode: Some(WebhookMode::Sync),
        url: Some("http://h/".to_owned()),
        url_template: None,
        input_template: None,
        header_template: None,
        output_template: Some(output.to_owned()),
        status_template: None,
        correlation_id_key: None,
        retry_interval: None,
        timeout: None,
    }
}

/// Templates that would take all memory, all time or all of the stack if they were let.
fn hostile() -> Vec<String> {
    let doubling =
        "{{$x := \"xxxxxxxxxxxxxxxx\"}}".to_owned() + &"{{$x = print $x $x}}".repeat(60) + "{{$x}}";
    let lists = "{{$x := list 1}}".to_owned() + &"{{$x = list $x $x $x}}".repeat(60) + "{{$x}}";
    let compared = "{{$x := list 1}}".to_owned()
        + &"{{$x = list $x $x $x}}".repeat(60)
        + "{{deepEqual $x $x}}";
    vec![
        "{{range until 100000000}}x{{end}}".to_owned(),
        "{{range until 9999}}{{range until 9999}}{{end}}{{end}}".to_owned(),
        "{{range 9000000000000000000}}{{end}}".to_owned(),
        "{{repeat 1000000000 \"x\"}}".to_owned(),
        "{{indent 1000000000 \"x\"}}".to_owned(),
        "{{printf \"%1000000d%1000000d%1000000d\" 1 2 3}}{{printf \"%.1000000f\" 1.5}}".to_owned(),
        "{{seq 1 1000000000}}{{untilStep 0 1000000000 1}}".to_owned(),
        "{{define \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}".to_owned(),
        "{{define \"a\"}}{{template \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}".to_owned(),
        "(".repeat(5000),
        format!("{{{{{}1{}}}}}", "(".repeat(5000), ")".repeat(5000)),
        format!("{{{{{}1{}}}}}", "(".repeat(99), ")".repeat(99)),
        "{{if 1}}".repeat(2000) + &"{{end}}".repeat(2000),
        "{{if 1}}".repeat(99) + &"{{end}}".repeat(99),
        "{{if 0}}".to_owned() + &"{{else if 0}}".repeat(1200) + "{{end}}",
        format!("{{{{{}}}}}", "not ".repeat(4000)),
        format!("{{{{{}}}}}", "(not ".repeat(98) + "1" + &")".repeat(98)),
        "{{$d := dict}}{{$_ := set $d \"d\" $d}}{{$d}}".to_owned(),
        "{{$d := dict}}{{$e := dict \"d\" $d}}{{$_ := set $d \"e\" (list $e)}}{{$d}}".to_owned(),
        "{{$d := dict}}{{range until 9000}}{{$d = dict \"d\" $d}}{{end}}{{toJson $d}}".to_owned(),
        "{{$d := list}}{{range until 100000}}{{$d = list $d}}{{end}}".to_owned(),
        format!("{{{{fromJson `{}`}}}}", "[".repeat(8000)),
        "{{regexMatch \"((a{0,100}){0,100}){0,100}\" \"aaaa\"}}".to_owned(),
        "{{regexReplaceAll \"\" (repeat 100000 \"x\") (repeat 10000 \"y\")}}".to_owned(),
        "{{wrapWith 1 (repeat 100000 \"y\") (repeat 100000 \"x\")}}".to_owned(),
        "{{replace \"\" (repeat 100000 \"y\") (repeat 100000 \"x\")}}".to_owned(),
        "x".repeat(1 << 20),
        doubling,
        lists,
        compared,
    ]
}

#[test]
fn hostile_templates_end_in_bounded_work_on_a_small_stack() {
    let play = || {
        let data = object("x");
        for template in hostile() {
            let start = Instant::now();
            let rendered = render_json(&template, &data);
            let shown: String = template.chars().take(60).collect();
            // Generous, since it only has to tell bounded work from unbounded.
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{shown} took too long"
            );
            if let Ok(rendered) = rendered {
                assert!(
                    rendered.len() <= 1 << 20,
                    "{shown} rendered {} bytes",
                    rendered.len()
                );
            }
        }
    };
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(play)
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn a_chain_of_else_ifs_is_refused_beyond_what_the_stack_bears() {
    let chain = |length| "{{if 0}}".to_owned() + &"{{else if 0}}".repeat(length) + "{{end}}";
    let data = object("x");
    assert_eq!(render(&chain(90), &data).unwrap(), "");
    render(&chain(500), &data).unwrap_err();
}
