//! The configuration file: a TOML table whose keys are the names of flags.
//!
//! A value of the file becomes the default of its flag, so that flags and environment variables
//! win over it, and one place says what each option is and accepts. The same file serves every
//! role: a key is known if any command has it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;

use binnacle_boot::grpc::Peers;
use clap::{Arg, Command, CommandFactory, FromArgMatches};
use toml::Spanned;

use crate::cli::Cli;

/// Why the command line and the configuration file make no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Clap(#[from] clap::Error),
    #[error("cannot read the configuration file {file}")]
    Unreadable {
        file: String,
        source: std::io::Error,
    },
    #[error("the configuration file {file} is not TOML")]
    Syntax {
        file: String,
        source: toml::de::Error,
    },
    #[error("{file}:{line}: unknown key {key}; the keys are {known}")]
    UnknownKey {
        file: String,
        line: usize,
        key: String,
        known: String,
    },
    #[error("{file}:{line}: {key}: {reason}")]
    Value {
        file: String,
        line: usize,
        key: String,
        reason: String,
    },
}

/// Parses the command line; if that names a configuration file, once more with its values.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Cli, Error> {
    let args: Vec<_> = args.collect();
    let cli = Cli::from_arg_matches(&Cli::command().try_get_matches_from(&args)?)?;
    let Some(file) = cli.config else {
        return Ok(cli);
    };
    let command = with_file(Cli::command(), &file)?;
    Ok(Cli::from_arg_matches(
        &command.try_get_matches_from(&args)?,
    )?)
}

fn with_file(command: Command, path: &Path) -> Result<Command, Error> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| Error::Unreadable {
        file: file.clone(),
        source,
    })?;
    let table: BTreeMap<Spanned<String>, Spanned<toml::Value>> =
        toml::from_str(&text).map_err(|source| Error::Syntax {
            file: file.clone(),
            source,
        })?;
    let mut options = BTreeMap::new();
    collect(&command, &mut options);
    let mut values = BTreeMap::new();
    for (key, value) in table {
        let line = line(&text, &key.span());
        let key = key.into_inner();
        let Some(option) = options.get(&key) else {
            let known = options.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(Error::UnknownKey {
                file,
                line,
                key,
                known,
            });
        };
        match checked(option, value.into_inner()) {
            Ok(value) => values.insert(key, value),
            Err(reason) => {
                return Err(Error::Value {
                    file,
                    line,
                    key,
                    reason,
                });
            }
        };
    }
    Ok(with_defaults(command, &values))
}

fn line(text: &str, span: &Range<usize>) -> usize {
    text.bytes()
        .take(span.start)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

/// Whether an option may stand in the file: those that have an environment variable.
fn is_option(option: &Arg) -> bool {
    option.get_env().is_some() && option.get_id() != "config"
}

fn collect(command: &Command, options: &mut BTreeMap<String, Arg>) {
    for option in command.get_arguments().filter(|option| is_option(option)) {
        if let Some(name) = option.get_long() {
            options
                .entry(name.to_owned())
                .or_insert_with(|| option.clone());
        }
    }
    for command in command.get_subcommands() {
        collect(command, options);
    }
}

/// The value as text, if the option takes it. An address that one command listens on is a list of
/// peers for another: either will do here, and whoever uses it looks again.
fn checked(option: &Arg, value: toml::Value) -> Result<String, String> {
    let text = match value {
        toml::Value::String(text) => text,
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Boolean(boolean) => boolean.to_string(),
        toml::Value::Float(_)
        | toml::Value::Datetime(_)
        | toml::Value::Array(_)
        | toml::Value::Table(_) => return Err("give a string or a whole number".to_owned()),
    };
    if option.get_id().as_str().ends_with("_addr") {
        let is_one = text.parse::<SocketAddr>().is_ok();
        text.parse::<Peers>()
            .map(drop)
            .or_else(|error| if is_one { Ok(()) } else { Err(error) })
            .map_err(|error| error.to_string())?;
    } else {
        let flag = format!("--{}={text}", option.get_long().unwrap_or_default());
        Command::new("binnacle")
            .arg(option.clone().required(false))
            .try_get_matches_from(["binnacle", &flag])
            .map_err(|error| first_line(&error))?;
    }
    Ok(text)
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

fn with_defaults(command: Command, values: &BTreeMap<String, String>) -> Command {
    command
        .mut_args(|option| {
            let value = option.get_long().and_then(|name| values.get(name)).cloned();
            match value {
                Some(value) if is_option(&option) => option.default_value(value),
                _ => option,
            }
        })
        .mut_subcommands(|command| with_defaults(command, values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    fn parse_with(file: &str, args: &[&str]) -> Result<Cli, Error> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("binnacle.toml");
        std::fs::write(&path, file).unwrap();
        let mut line: Vec<OsString> = vec!["binnacle".into()];
        line.extend(args.iter().map(OsString::from));
        line.extend(["--config".into(), path.into()]);
        parse(line.into_iter())
    }

    fn up(cli: Cli) -> cli::UpArgs {
        match cli.command {
            cli::Command::Up(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_file_gives_what_the_command_line_leaves_open() {
        let file = "worker-capacity = 7\ngateway-addr = \"127.0.0.1:1\"\n";
        let args = up(parse_with(file, &["up", "--gateway-addr", "127.0.0.1:2"]).unwrap());
        assert_eq!(args.worker.worker_capacity, 7);
        assert_eq!(args.gateway_addr.port(), 2);
    }

    #[test]
    fn a_file_may_hold_what_only_other_roles_need() {
        let file = "executor-addr = \"a.example:1,b.example:2\"\nexchange-timeout = \"5s\"";
        parse_with(file, &["operations"]).unwrap();
        parse_with(file, &["operations", "list"]).unwrap();
        parse_with("", &["scheduler"]).unwrap();
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = parse_with("\n\ndata_dir = \"x\"", &["up"])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("binnacle.toml:3: unknown key data_dir"),
            "{error}"
        );
        assert!(error.contains("data-dir"), "{error}");
    }

    #[test]
    fn a_value_that_does_not_fit_is_named_with_its_line() {
        for file in [
            "exchange-timeout = 30",
            "exchange-timeout = \"0s\"",
            "log-format = \"loud\"",
            "worker-capacity = 0",
            "default-tenant = [1]",
            "database-url = \"mysql://x\"",
        ] {
            let error = parse_with(file, &["up"]).unwrap_err();
            assert!(
                matches!(&error, Error::Value { line: 1, .. }),
                "{file}: {error}"
            );
        }
        assert!(parse_with("gateway-addr = \"nowhere\"", &["up"]).is_err());
    }

    #[test]
    fn what_is_no_toml_is_refused() {
        let twice = "data-dir = \"a\"\ndata-dir = \"b\"";
        assert!(matches!(
            parse_with(twice, &["up"]),
            Err(Error::Syntax { .. })
        ));
    }
}
