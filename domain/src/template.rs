//! Compass's template language: Go's `text/template` with a closed set of pure functions.
//!
//! Templates that work in Compass must render alike here, so the language is followed down to the
//! texts of its errors, which clients see when they save a webhook. Three things are different on
//! purpose. A value inside a JSON string is escaped, so that it cannot break out of it. What a
//! template may cost is bounded. And no function reads anything but its arguments.

mod ast;
mod data;
mod eval;
mod exec;
mod float;
mod formation;
mod functions;
pub(crate) mod json;
mod lex;
mod literal;
mod output;
mod parse;
mod parsed;
mod print;
mod printf;
mod quote;
#[cfg(test)]
mod recorded;
mod value;
mod work;

pub use data::Data;

use output::Output;

/// Why a template cannot be used, in the words of Go's template package.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Parse(String),
    #[error("{0}")]
    Execute(String),
}

/// Renders a template as text, with nothing escaped.
pub fn render(source: &str, data: &Data) -> Result<String, Error> {
    run(source, data, Output::text())
}

/// Renders a template that makes JSON.
pub fn render_json(source: &str, data: &Data) -> Result<String, Error> {
    run(source, data, Output::json())
}

fn run(source: &str, data: &Data, output: Output) -> Result<String, Error> {
    let template = parsed::template(source)?;
    exec::execute(&template, &data.root, output).map_err(Error::Execute)
}

/// A field of the data as it prints.
pub(crate) fn print(data: &Data, field: &str) -> String {
    render(&format!("{{{{.{field}}}}}"), data).unwrap_or_default()
}

/// A text in quotes, as Go writes it in messages.
pub(crate) fn quoted(text: &str) -> String {
    quote::quoted(text, false)
}
