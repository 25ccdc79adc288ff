//! Go's `fmt.Sprintf`.

use super::print::{Printed, Printer, Spec};
use super::value::Value;
use super::work::Work;

/// Go writes no number of more columns than this.
const MAX_COLUMNS: usize = 1_000_000;

pub(super) fn sprintf(format: &str, args: &[Value], work: &Work) -> Result<Printed, String> {
    let mut formatter = Formatter {
        printer: Printer::new(work),
        args,
        next: 0,
        reordered: false,
        good_index: true,
    };
    let mut rest = format;
    while let Some((plain, directive)) = rest.split_once('%') {
        formatter.printer.push(plain)?;
        rest = formatter.directive(directive)?;
    }
    formatter.printer.push(rest)?;
    formatter.extra()?;
    Ok(formatter.printer.printed)
}

struct Formatter<'a, 'w> {
    printer: Printer<'w>,
    args: &'a [Value],
    next: usize,
    reordered: bool,
    good_index: bool,
}

impl Formatter<'_, '_> {
    /// Writes what stands behind a percent sign, and gives what stands behind that.
    fn directive<'f>(&mut self, directive: &'f str) -> Result<&'f str, String> {
        let mut rest = directive;
        let mut spec = Spec::default();
        self.good_index = true;
        while let Some(flag) = rest.chars().next() {
            match flag {
                '+' => spec.plus = true,
                '-' => spec.minus = true,
                '#' => spec.sharp = true,
                ' ' => spec.space = true,
                '0' => spec.zero = true,
                _ => break,
            }
            rest = &rest[1..];
        }
        let mut indexed = self.index(&mut rest);
        if let Some(tail) = rest.strip_prefix('*') {
            rest = tail;
            match self.star() {
                Some(width) => {
                    spec.minus |= width < 0;
                    spec.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => self.printer.push("%!(BADWIDTH)")?,
            }
            indexed = false;
        } else if let Some(width) = number(&mut rest) {
            self.good_index &= !indexed;
            spec.width = Some(width);
        }
        rest = self.precision(rest, &mut spec, &mut indexed)?;
        if !indexed {
            self.index(&mut rest);
        }
        let Some(verb) = rest.chars().next() else {
            self.printer.push("%!(NOVERB)")?;
            return Ok(rest);
        };
        self.verb(verb, spec)?;
        Ok(&rest[verb.len_utf8()..])
    }

    fn precision<'f>(
        &mut self,
        rest: &'f str,
        spec: &mut Spec,
        indexed: &mut bool,
    ) -> Result<&'f str, String> {
        let Some(mut rest) = rest.strip_prefix('.') else {
            return Ok(rest);
        };
        self.good_index &= !*indexed;
        *indexed = self.index(&mut rest);
        if let Some(tail) = rest.strip_prefix('*') {
            rest = tail;
            match self.star() {
                Some(precision) => spec.precision = usize::try_from(precision).ok(),
                None => self.printer.push("%!(BADPREC)")?,
            }
            *indexed = false;
        } else {
            spec.precision = Some(number(&mut rest).unwrap_or(0));
        }
        Ok(rest)
    }

    fn verb(&mut self, verb: char, spec: Spec) -> Result<(), String> {
        if verb == '%' {
            return self.printer.push("%");
        }
        if !self.good_index {
            return self.printer.push(&format!("%!{verb}(BADINDEX)"));
        }
        let Some(value) = self.args.get(self.next) else {
            return self.printer.push(&format!("%!{verb}(MISSING)"));
        };
        self.next += 1;
        self.printer.value(verb, spec, value)
    }

    /// Takes `[n]`, which names the operand that comes next.
    fn index(&mut self, rest: &mut &str) -> bool {
        let Some(inner) = rest.strip_prefix('[') else {
            return false;
        };
        self.reordered = true;
        let Some((digits, tail)) = inner.split_once(']') else {
            self.good_index = false;
            *rest = inner;
            return false;
        };
        *rest = tail;
        let index = digits
            .parse::<usize>()
            .ok()
            .and_then(|index| index.checked_sub(1));
        match index.filter(|index| *index < self.args.len()) {
            Some(index) => self.next = index,
            None => self.good_index = false,
        }
        true
    }

    fn star(&mut self) -> Option<i64> {
        let value = self.args.get(self.next)?;
        self.next += 1;
        let limit = i64::try_from(MAX_COLUMNS).unwrap_or(i64::MAX);
        value.as_int().filter(|value| value.abs() <= limit)
    }

    fn extra(&mut self) -> Result<(), String> {
        if self.reordered || self.next >= self.args.len() {
            return Ok(());
        }
        self.printer.push("%!(EXTRA ")?;
        for (index, value) in self.args[self.next..].iter().enumerate() {
            if index > 0 {
                self.printer.push(", ")?;
            }
            if value.is_none() {
                self.printer.push("<nil>")?;
            } else {
                self.printer.push(&format!("{}=", value.type_name()))?;
                self.printer.value('v', Spec::default(), value)?;
            }
        }
        self.printer.push(")")
    }
}

/// Takes a decimal number. One too large takes the rest of the format with it, as in Go.
fn number(rest: &mut &str) -> Option<usize> {
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    if length == 0 {
        return None;
    }
    let number = rest[..length]
        .parse::<usize>()
        .ok()
        .filter(|number| *number <= MAX_COLUMNS);
    *rest = if number.is_some() {
        &rest[length..]
    } else {
        ""
    };
    number
}
