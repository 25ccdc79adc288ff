//! What a document may cost before anything is done with it.
//!
//! The library's own limits are compared after it has expanded every fragment spread, so a
//! document of a thousand bytes can keep it busy for minutes. This guard runs first and looks at
//! every node of the document once: a pass over the text counts tokens and nesting before the
//! parser recurses, and a walk over the parsed document sums up what each fragment expands to,
//! remembering the sum instead of walking the fragment again. What it lets through costs the
//! library a bounded multiple of the limits below, and is handed over parsed.
//!
//! *Invariant*: the guard knows GraphQL documents and no schema.

mod cost;
mod known;
mod scan;

use std::sync::Arc;

use async_graphql::parser::types::ExecutableDocument;
use async_graphql::parser::{self, parse_query};
use async_graphql::{ErrorExtensionValues, Pos, ServerError};

use self::cost::Measured;
use self::known::Known;
pub use self::known::Validity;

/// Names, values and punctuation of a document. A text of any length is one.
const TOKENS: usize = 20_000;
/// Brackets inside one another, of all kinds.
const NESTING: usize = 64;
/// Selection sets inside one another, fragments counted; the library refuses more than this.
const DEPTH: usize = 32;
const FRAGMENTS: usize = 500;
/// Fields and fragments once all fragments are expanded, over all definitions.
const SELECTIONS: u64 = 10_000;
/// Values of arguments once all fragments are expanded; long texts count as several.
const VALUES: u64 = 40_000;
const ALIASES: u64 = 500;
const DIRECTIVES: u64 = 500;
/// Fields of one operation, each of which may reach the database.
const ROOT_FIELDS: u64 = 200;
/// Arguments of one field or directive.
const ARGUMENTS: usize = 64;
/// Lists of the introspection inside one another: the answer grows with their product.
const INTROSPECTION_LISTS: usize = 2;
/// Bytes of variables once each is put where it is used.
const VARIABLES: usize = 64 * 1024 * 1024;

/// A document that may be executed, as far as it depends on the document alone.
#[derive(Debug)]
struct Admitted {
    document: ExecutableDocument,
    /// In how many places it uses variables.
    variables: u64,
    /// How many nodes were looked at.
    visited: usize,
    /// For requests with variables that are alike.
    validity: Validity,
}

/// Why a document is not executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    ParseFailed,
    TooLarge,
    TooDeep,
    TooComplex,
}

impl Code {
    /// The error's `extensions.code`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ParseFailed => "GRAPHQL_PARSE_FAILED",
            Self::TooLarge => "QUERY_TOO_LARGE",
            Self::TooDeep => "QUERY_TOO_DEEP",
            Self::TooComplex => "QUERY_TOO_COMPLEX",
        }
    }
}

/// A document that is not executed, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub code: Code,
    pub message: String,
    pub positions: Vec<Pos>,
}

impl Refusal {
    fn new(code: Code, message: impl Into<String>, position: Option<Pos>) -> Self {
        Self {
            code,
            message: message.into(),
            positions: position.into_iter().collect(),
        }
    }

    fn too_complex(what: &str, limit: impl std::fmt::Display) -> Self {
        let message = format!("the document has more than {limit} {what}");
        Self::new(Code::TooComplex, message, None)
    }
}

impl From<Refusal> for ServerError {
    fn from(refusal: Refusal) -> Self {
        let Refusal {
            code,
            message,
            positions,
        } = refusal;
        let mut error = Self::new(message, None);
        error.locations = positions;
        let mut extensions = ErrorExtensionValues::default();
        extensions.set("code", code.as_str());
        extensions.set("error", "InvalidData");
        extensions.set("error_code", 22);
        error.extensions = Some(extensions);
        error
    }
}

/// Lets documents pass, and remembers some of them.
#[derive(Debug, Default)]
pub struct Guard(Known);

impl Guard {
    /// Parses a document and lets it pass if what it expands to is within the limits.
    ///
    /// With it comes what is known of it from earlier requests, by whoever knows the schema.
    ///
    /// `largest_variable` is about the size of the request's largest variable in memory: the library
    /// copies it to every place that it is used in.
    pub fn admit(
        &self,
        source: &str,
        largest_variable: usize,
    ) -> Result<(ExecutableDocument, Validity), Refusal> {
        let admitted = if let Some(known) = self.0.get(source) {
            known
        } else {
            let admitted = Arc::new(admit(source)?);
            self.0.keep(source, &admitted);
            admitted
        };
        let variables = usize::try_from(admitted.variables).unwrap_or(usize::MAX);
        if variables.saturating_mul(largest_variable) > VARIABLES {
            return Err(Refusal::new(
                Code::TooComplex,
                "the document uses a large variable in too many places",
                None,
            ));
        }
        let validity = admitted.validity.clone();
        let document =
            Arc::try_unwrap(admitted).map_or_else(|kept| kept.document.clone(), |own| own.document);
        Ok((document, validity))
    }
}

fn admit(source: &str) -> Result<Admitted, Refusal> {
    let source = scan::scan(source)?;
    let document = parse_query(source.as_ref()).map_err(|error| syntax(&error))?;
    let Measured { variables, visited } = cost::measure(&document)?;
    Ok(Admitted {
        document,
        variables,
        visited,
        validity: Validity::default(),
    })
}

/// The parser quotes the whole line that it stopped in, which may be the whole document.
fn syntax(error: &parser::Error) -> Refusal {
    let message = match error {
        parser::Error::Syntax { message, start, .. } => {
            let expectation = message.rsplit_once("= ").map_or("", |(_, last)| last);
            format!(
                "syntax error at line {}, column {}: {expectation}",
                start.line, start.column
            )
        }
        other => other.to_string(),
    };
    Refusal {
        code: Code::ParseFailed,
        message,
        positions: error.positions().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(source: &str) -> Code {
        admit(source).unwrap_err().code
    }

    #[test]
    fn a_plain_document_passes() {
        let admitted =
            admit("query Q($id: ID!) { a: thing(id: $id) { ...F } } fragment F on T { b }");
        assert_eq!(admitted.unwrap().visited, 5);
    }

    #[test]
    fn a_syntax_error_says_where_without_repeating_the_document() {
        let long = format!("{{ thing(text: \"{}\") {{ ? }} }}", "x".repeat(100_000));
        let refusal = admit(&long).unwrap_err();
        assert_eq!(refusal.code, Code::ParseFailed);
        assert_eq!(refusal.positions.len(), 1);
        assert!(refusal.message.len() < 200, "{}", refusal.message);
        assert!(refusal.message.contains("expected"), "{}", refusal.message);
    }

    #[test]
    fn empty_parentheses_are_ignored_and_positions_stay_right() {
        admit("{ viewer ( ) { id(\n# none\n) @include() } }").unwrap();
        let refusal = admit("{ viewer() { ? } }").unwrap_err();
        assert_eq!(
            refusal.positions,
            [Pos {
                line: 1,
                column: 14
            }]
        );
    }

    #[test]
    fn parentheses_in_texts_and_comments_are_left_alone() {
        let admitted = admit("{ a(x: \"f()\", y: \"\"\"g() \\\"\"\" h()\"\"\") # i() \"\n { b } }");
        let printed = format!("{:?}", admitted.unwrap().document);
        for text in ["f()", "g()", "h()"] {
            assert!(printed.contains(text), "{printed}");
        }
    }

    #[test]
    fn hostile_documents_are_refused() {
        let bomb = |length: usize| chain(length, 2, "...F{n} ");
        assert_eq!(code(&bomb(24)), Code::TooComplex);
        assert_eq!(code(&bomb(400)), Code::TooDeep);
        assert_eq!(code(&bomb(1000)), Code::TooComplex);
        assert_eq!(
            code("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }"),
            Code::TooComplex
        );
        assert_eq!(code(&"{a".repeat(100)), Code::TooDeep);
        let lists = format!("{{ a(x: {}{}) }}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(code(&lists), Code::TooDeep);
        assert_eq!(
            code(&format!(
                "{{ {} }}",
                "...{".repeat(40) + "a" + &"}".repeat(40)
            )),
            Code::TooDeep
        );
        assert_eq!(
            code(&format!("{{ {} }}", "a ".repeat(200_000))),
            Code::TooLarge
        );
        assert_eq!(
            code(&format!("{{ {} }}", "a ".repeat(15_000))),
            Code::TooComplex
        );
        let numbered = |text: &str, count: i32| {
            let numbers = (0..count).map(|i| text.replace("{n}", &i.to_string()));
            numbers.collect::<String>()
        };
        let aliased = numbered("a{n}: a ", 1_000);
        assert_eq!(code(&format!("{{ b {{ {aliased} }} }}")), Code::TooComplex);
        let roots: String = "a ".repeat(300);
        assert_eq!(code(&format!("mutation {{ {roots} }}")), Code::TooComplex);
        assert_eq!(
            code(&format!("{{ a {} }}", "@x ".repeat(1_000))),
            Code::TooComplex
        );
        let arguments = numbered("x{n}: 1 ", 100);
        assert_eq!(code(&format!("{{ a({arguments}) }}")), Code::TooComplex);
        assert_eq!(
            code(
                "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }"
            ),
            Code::TooComplex
        );
        let text = "x".repeat(1_000_000);
        let copies = "...F ".repeat(100);
        assert_eq!(
            code(&format!(
                "{{ {copies} }} fragment F on Query {{ a(x: \"{text}\") }}"
            )),
            Code::TooComplex
        );
    }

    #[test]
    fn a_large_variable_may_be_used_a_few_times_but_not_in_a_thousand_places() {
        let uses =
            |count: usize| format!("query($v: V) {{ b {{ {} }} }}", "a(x: $v) ".repeat(count));
        let guard = Guard::default();
        guard.admit(&uses(10), 2_000_000).unwrap();
        assert_eq!(
            guard.admit(&uses(1_000), 2_000_000).unwrap_err().code,
            Code::TooComplex
        );
        guard.admit(&uses(1_000), 200).unwrap();
    }

    #[test]
    fn a_document_that_is_known_is_parsed_as_the_first_time() {
        let guard = Guard::default();
        let ask = || {
            guard
                .admit("query($id: ID!) { thing(id: $id) { b } }", 10)
                .unwrap()
        };
        assert_eq!(format!("{:?}", ask()), format!("{:?}", ask()));
        assert!(guard.admit("{ a ", 0).is_err());
    }

    #[test]
    fn two_megabytes_of_inlined_specification_pass() {
        let source = format!(
            "mutation {{ a(in: {{ spec: \"\"\"{}\"\"\" }}) {{ id }} }}",
            "{ [ ( ".repeat(330_000)
        );
        admit(&source).unwrap();
    }

    /// A chain of fragments, each made of `pieces` that mention the next one.
    fn chain(fragments: usize, pieces: usize, piece: &str) -> String {
        let mut definitions = vec!["{ ...F0 }".to_owned()];
        for i in 0..fragments {
            let body = piece.replace("{n}", &(i + 1).to_string()).repeat(pieces);
            definitions.push(format!("fragment F{i} on Query {{ {body}}}"));
        }
        definitions.push(format!("fragment F{fragments} on Query {{ a }}"));
        definitions.join(" ")
    }

    /// Counted rather than timed: every node at most once, whatever the fragments expand to.
    #[test]
    fn the_guard_looks_at_every_node_of_a_hostile_document_once() {
        let pieces = [
            ("...F{n} ", 1),
            ("a { ...F{n} } ", 2),
            ("a(x: [1 2]) ...F{n} ", 5),
        ];
        for (piece, nodes) in pieces {
            for kibibytes in [1, 32, 256] {
                for fragments in [5, 14] {
                    let count = kibibytes * 1024 / fragments / piece.len();
                    let document = parse_query(chain(fragments, count, piece)).unwrap();
                    let most = fragments * (count * nodes + 1) + 3;
                    let visited = cost::visited(&document);
                    assert!(visited <= most, "{visited} visits, {most} nodes");
                    assert!(2 * visited > most, "{visited} visits, {most} nodes");
                }
            }
        }
    }
}
