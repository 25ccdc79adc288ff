//! Requests with the same document that are valid, or not, together: clients send the same few again and again, with
//! other ids.

use async_graphql::parser::types::{BaseType, ExecutableDocument, Type};
use async_graphql::{Value, Variables};

/// Whether a document that is valid with these variables is so with all that pass here, and is completed alike: it has
/// one operation, each of whose variables is an `ID` or a `String` and is given as a text. A text fits wherever such a
/// variable may stand, whatever it says; other types have values that do not fit, and what is left out or null is not
/// looked at.
pub(crate) fn is_alike(document: &ExecutableDocument, variables: &Variables) -> bool {
    let mut operations = document.operations.iter();
    let (Some((_, operation)), None) = (operations.next(), operations.next()) else {
        return false;
    };
    let definitions = &operation.node.variable_definitions;
    definitions.iter().all(|definition| {
        let given = variables.get(&definition.node.name.node);
        is_text(&definition.node.var_type.node) && matches!(given, Some(Value::String(_)))
    })
}

fn is_text(ty: &Type) -> bool {
    matches!(&ty.base, BaseType::Named(name) if matches!(name.as_str(), "ID" | "String"))
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_texts_that_are_all_given_are_alike() {
        let one = "query($id: ID!, $name: String) { a(id: $id, name: $name) }";
        for (source, variables, expected) in [
            ("{ a }", json!({}), true),
            ("query Q { a }", json!({ "unused": [1] }), true),
            (one, json!({ "id": "1", "name": "n" }), true),
            (one, json!({ "id": "1" }), false),
            (one, json!({ "id": "1", "name": null }), false),
            (one, json!({ "id": 1, "name": "n" }), false),
            (
                "query($ids: [ID!]) { a(ids: $ids) }",
                json!({ "ids": "1" }),
                false,
            ),
            ("query($e: Kind) { a(e: $e) }", json!({ "e": "A" }), false),
            ("query($n: Int) { a(n: $n) }", json!({ "n": 1 }), false),
            ("query A { a } query B { b }", json!({}), false),
        ] {
            let document = parse_query(source).unwrap();
            let variables = Variables::from_json(variables);
            assert_eq!(is_alike(&document, &variables), expected, "{source}");
        }
    }
}
