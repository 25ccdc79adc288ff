//! Semantic versions and constraints on them.

use std::cmp::Ordering;
use std::rc::Rc;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::{Function, Type, fixed};
use crate::template::value::{Field, Struct, Value};

const STRING: Type = Type::String;
/// The type of a version; it prints as its `String`.
pub(crate) const VERSION: &str = "semver.Version";

pub(super) static TABLE: &[Function] = &[
    fixed("semver", &[STRING], |call| {
        Version::parse(call.text(0)).map(|v| v.value(call.text(0)))
    }),
    fixed("semverCompare", &[STRING, STRING], |call| {
        call.work.charge(call.text(0).len() * 100)?;
        let alternatives = constraints(call.text(0))?;
        let version = Version::parse(call.text(1))?;
        let holds = |all: &Vec<Constraint>| all.iter().all(|one| one.allows(&version));
        Ok(Value::Bool(alternatives.iter().any(holds)))
    }),
];

const SUFFIX: &str =
    r"(-([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?(\+([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?";
const OPERATORS: &str = r"=||!=|>|<|>=|=>|<=|=<|~|~>|\^";
const WILD: &str = r"v?([0-9|x|X|\*]+)(\.[0-9|x|X|\*]+)?(\.[0-9|x|X|\*]+)?";

struct Patterns {
    version: Regex,
    constraint: Regex,
    range: Regex,
    find: Regex,
    valid: Regex,
}

static PATTERNS: LazyLock<Option<Patterns>> = LazyLock::new(|| {
    let compile = |pattern: String| Regex::new(&pattern).ok();
    let wild = format!("{WILD}{SUFFIX}");
    Some(Patterns {
        version: compile(format!(r"^v?([0-9]+)(\.[0-9]+)?(\.[0-9]+)?{SUFFIX}$"))?,
        constraint: compile(format!(r"^\s*({OPERATORS})\s*({wild})\s*$"))?,
        range: compile(format!(r"\s*({wild})\s+-\s+({wild})\s*"))?,
        find: compile(format!(r"({OPERATORS})\s*({wild})"))?,
        valid: compile(format!(
            r"^(\s*({OPERATORS})\s*({wild})\s*)((?:\s+|,\s*)({OPERATORS})\s*({wild})\s*)*$"
        ))?,
    })
});

fn patterns() -> Result<&'static Patterns, String> {
    PATTERNS
        .as_ref()
        .ok_or_else(|| "versions cannot be read".to_owned())
}

fn group<'t>(found: &Captures<'t>, index: usize) -> &'t str {
    found.get(index).map_or("", |group| group.as_str())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Version {
    numbers: [u64; 3],
    prerelease: String,
    metadata: String,
}

impl Version {
    fn parse(text: &str) -> Result<Self, String> {
        let found = patterns()?
            .version
            .captures(text)
            .ok_or("Invalid Semantic Version")?;
        let mut numbers = [0; 3];
        for (index, number) in numbers.iter_mut().enumerate() {
            let digits = group(&found, index + 1).trim_start_matches('.');
            if !digits.is_empty() {
                *number = digits.parse().map_err(|_| {
                    let digits = crate::template::quoted(digits);
                    format!(
                        "Error parsing version segment: strconv.ParseUint: parsing {digits}: \
                         value out of range"
                    )
                })?;
            }
        }
        let prerelease = group(&found, 5).to_owned();
        let leading_zero = |part: &str| {
            part.len() > 1 && part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit())
        };
        if prerelease.split('.').any(leading_zero) {
            return Err("Version segment starts with 0".to_owned());
        }
        Ok(Self {
            numbers,
            prerelease,
            metadata: group(&found, 8).to_owned(),
        })
    }

    fn value(&self, original: &str) -> Value {
        let [major, minor, patch] = self
            .numbers
            .map(|number| Value::Int64(i64::try_from(number).unwrap_or(i64::MAX)));
        let fields = [
            ("String", Value::str(self.to_string())),
            ("Major", major),
            ("Minor", minor),
            ("Patch", patch),
            ("Prerelease", Value::str(self.prerelease.as_str())),
            ("Metadata", Value::str(self.metadata.as_str())),
            ("Original", Value::str(original)),
        ];
        let field = |(name, value)| Field {
            name,
            json: name,
            value,
            embedded: false,
            interface: None,
        };
        Value::Ptr(Ok(Rc::new(Struct {
            kind: VERSION,
            fields: fields.map(field).into(),
        })))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        if !self.prerelease.is_empty() {
            write!(f, "-{}", self.prerelease)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let prerelease = || compare_prereleases(&self.prerelease, &other.prerelease);
        self.numbers.cmp(&other.numbers).then_with(prerelease)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A release comes behind its prereleases; numbers come before words.
fn compare_prereleases(one: &str, two: &str) -> Ordering {
    match (one.is_empty(), two.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut one, mut two) = (one.split('.'), two.split('.'));
    loop {
        let order = match (one.next(), two.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(one), Some(two)) => match (one.parse::<u64>(), two.parse::<u64>()) {
                (Ok(one), Ok(two)) => one.cmp(&two),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => one.cmp(two),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

struct Constraint {
    operator: String,
    version: Version,
    /// The parts that the constraint gives: major, minor and patch, or fewer.
    given: usize,
}

/// Alternatives, each of constraints that must all hold.
fn constraints(text: &str) -> Result<Vec<Vec<Constraint>>, String> {
    let patterns = patterns()?;
    let text = patterns.range.replace_all(text, |found: &Captures<'_>| {
        format!(">= {}, <= {}", group(found, 1), group(found, 11))
    });
    let mut alternatives = Vec::new();
    for part in text.split("||") {
        if !patterns.valid.is_match(part) {
            return Err(format!("improper constraint: {part}"));
        }
        let all = patterns
            .find
            .find_iter(part)
            .map(|one| Constraint::parse(one.as_str()));
        alternatives.push(all.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(alternatives)
}

impl Constraint {
    fn parse(text: &str) -> Result<Self, String> {
        let improper = || format!("improper constraint: {text}");
        let found = patterns()?.constraint.captures(text).ok_or_else(improper)?;
        let part = |index| group(&found, index);
        let is_open = |index| matches!(part(index).trim_start_matches('.'), "" | "x" | "X" | "*");
        let (given, version) = if is_open(3) {
            (0, format!("0.0.0{}", part(6)))
        } else if is_open(4) {
            (1, format!("{}.0.0{}", part(3), part(6)))
        } else if is_open(5) {
            (2, format!("{}{}.0{}", part(3), part(4), part(6)))
        } else {
            (3, part(2).to_owned())
        };
        let version = Version::parse(&version).map_err(|_| "constraint Parser Error")?;
        Ok(Self {
            operator: part(1).to_owned(),
            version,
            given,
        })
    }

    fn allows(&self, version: &Version) -> bool {
        let wanted = &self.version;
        let only_releases = !version.prerelease.is_empty() && wanted.prerelease.is_empty();
        if self.operator == "!=" {
            return self.differs(version, only_releases);
        }
        if only_releases {
            return false;
        }
        let [major, minor, _] = version.numbers;
        let [wanted_major, wanted_minor, wanted_patch] = wanted.numbers;
        match self.operator.as_str() {
            ">" => match self.given {
                1 | 0 => major > wanted_major,
                2 => major > wanted_major || (major == wanted_major && minor > wanted_minor),
                _ => version > wanted,
            },
            "<" => version < wanted,
            ">=" | "=>" => version >= wanted,
            "<=" | "=<" if self.given == 3 => version <= wanted,
            "<=" | "=<" => {
                major < wanted_major
                    || (major == wanted_major && (self.given < 2 || minor <= wanted_minor))
            }
            "^" if version < wanted => false,
            "^" if wanted_major > 0 || self.given == 1 => major == wanted_major,
            "^" if major > 0 => false,
            "^" if wanted_minor > 0 || self.given == 2 => minor == wanted_minor,
            "^" => minor == 0 && version.numbers[2] == wanted_patch,
            "" | "=" if self.given == 3 => version.cmp(wanted) == Ordering::Equal,
            _ => self.is_near(version),
        }
    }

    /// The tilde: no less, and the same in the parts that count.
    fn is_near(&self, version: &Version) -> bool {
        let wanted = &self.version;
        if version < wanted {
            return false;
        }
        if wanted.numbers == [0, 0, 0] && !matches!(self.given, 1 | 2) {
            return true;
        }
        version.numbers[0] == wanted.numbers[0]
            && (self.given == 1 || version.numbers[1] == wanted.numbers[1])
    }

    fn differs(&self, version: &Version, only_releases: bool) -> bool {
        let wanted = &self.version;
        if self.given == 3 {
            return version.cmp(wanted) != Ordering::Equal;
        }
        if only_releases {
            return false;
        }
        if version.numbers[0] != wanted.numbers[0] {
            return true;
        }
        match self.given {
            2 => {
                version.numbers[1] != wanted.numbers[1]
                    || compare_prereleases(&version.prerelease, &wanted.prerelease)
                        != Ordering::Equal
            }
            _ => false,
        }
    }
}
