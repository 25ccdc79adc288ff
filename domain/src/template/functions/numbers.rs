//! Numbers.

use super::{Call, Function, Type, decimal, fixed, variadic};
use crate::template::literal;
use crate::template::print;
use crate::template::value::{Kind, Value};

const ANY: Type = Type::Any;
const INT: Type = Type::Int;

pub(super) static TABLE: &[Function] = &[
    fixed("atoi", &[Type::String], |call| {
        Ok(Value::Int(plain(call.text(0)).unwrap_or(0)))
    }),
    fixed("int64", &[ANY], |call| {
        Ok(Value::Int64(to_int(call.arg(0))))
    }),
    fixed("int", &[ANY], |call| Ok(Value::Int(to_int(call.arg(0))))),
    fixed("float64", &[ANY], |call| {
        Ok(Value::Float(to_float(call.arg(0))))
    }),
    fixed("toDecimal", &[ANY], |call| {
        let text = print::display(call.arg(0), call.work)?.text;
        Ok(Value::Int64(i64::from_str_radix(&text, 8).unwrap_or(0)))
    }),
    fixed("until", &[INT], |call| {
        let count = call.int(0);
        steps(call, (0, count), count.signum()).map(ints)
    }),
    fixed("untilStep", &[INT, INT, INT], |call| {
        steps(call, (call.int(0), call.int(1)), call.int(2)).map(ints)
    }),
    variadic("seq", &[INT], sequence),
    fixed("add1", &[ANY], |call| {
        Ok(Value::Int64(to_int(call.arg(0)).wrapping_add(1)))
    }),
    variadic("add", &[ANY], |call| {
        Ok(Value::Int64(
            call.args.iter().map(to_int).fold(0, i64::wrapping_add),
        ))
    }),
    fixed("sub", &[ANY, ANY], |call| {
        Ok(Value::Int64(
            to_int(call.arg(0)).wrapping_sub(to_int(call.arg(1))),
        ))
    }),
    fixed("div", &[ANY, ANY], |call| divide(call, i64::wrapping_div)),
    fixed("mod", &[ANY, ANY], |call| divide(call, i64::wrapping_rem)),
    variadic("mul", &[ANY, ANY], |call| {
        Ok(Value::Int64(
            call.args.iter().map(to_int).fold(1, i64::wrapping_mul),
        ))
    }),
    fixed("add1f", &[ANY], |call| {
        Ok(Value::Float(decimal::compute(
            &[to_float(call.arg(0)), 1.0],
            decimal::add,
        )))
    }),
    variadic("addf", &[ANY], |call| {
        Ok(Value::Float(decimal::fold(call, decimal::add)))
    }),
    variadic("subf", &[ANY, ANY], |call| {
        Ok(Value::Float(decimal::fold(call, decimal::subtract)))
    }),
    variadic("mulf", &[ANY, ANY], |call| {
        Ok(Value::Float(decimal::fold(call, decimal::multiply)))
    }),
    variadic("divf", &[ANY, ANY], |call| {
        if call.rest(1).iter().any(|value| to_float(value) == 0.0) {
            return Err("decimal division by 0".to_owned());
        }
        Ok(Value::Float(decimal::fold(call, decimal::divide)))
    }),
    variadic("max", &[ANY, ANY], |call| Ok(extreme(call, i64::max))),
    variadic("biggest", &[ANY, ANY], |call| Ok(extreme(call, i64::max))),
    variadic("min", &[ANY, ANY], |call| Ok(extreme(call, i64::min))),
    variadic("maxf", &[ANY, ANY], |call| {
        Ok(Value::Float(
            call.args
                .iter()
                .map(to_float)
                .fold(f64::NEG_INFINITY, f64::max),
        ))
    }),
    variadic("minf", &[ANY, ANY], |call| {
        Ok(Value::Float(
            call.args.iter().map(to_float).fold(f64::INFINITY, f64::min),
        ))
    }),
    fixed("ceil", &[ANY], |call| {
        Ok(Value::Float(to_float(call.arg(0)).ceil()))
    }),
    fixed("floor", &[ANY], |call| {
        Ok(Value::Float(to_float(call.arg(0)).floor()))
    }),
    variadic("round", &[ANY, INT, Type::Float], |call| Ok(round(call))),
];

fn plain(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // Go gives the nearest number that fits for one too large.
    is_plain.then(|| {
        text.parse().unwrap_or(if text.starts_with('-') {
            i64::MIN
        } else {
            i64::MAX
        })
    })
}

/// A number of any value; 0 for one that is none.
#[expect(clippy::cast_possible_truncation, reason = "as Go converts")]
pub(super) fn to_int(value: &Value) -> i64 {
    match value {
        Value::Int(number) | Value::Int64(number) => *number,
        Value::Byte(byte) => i64::from(*byte),
        Value::Bool(flag) => i64::from(*flag),
        Value::Whole(text) => match text.parse() {
            Ok(number) => number,
            Err(_) => value.as_f64().map_or(0, |number| number as i64),
        },
        Value::Float(number) => *number as i64,
        Value::StrPtr(Some(text)) | Value::Str(text) | Value::Escaped(text) => parse_int(text),
        _ => 0,
    }
}

fn parse_int(text: &str) -> i64 {
    match literal::integer(text) {
        Some((false, magnitude)) => i64::try_from(magnitude).unwrap_or(0),
        Some((true, magnitude)) => 0_i64.checked_sub_unsigned(magnitude).unwrap_or(0),
        None => 0,
    }
}

#[expect(clippy::cast_precision_loss, reason = "as Go converts")]
pub(super) fn to_float(value: &Value) -> f64 {
    match value {
        Value::StrPtr(Some(text)) | Value::Str(text) | Value::Escaped(text) => {
            literal::float(text).unwrap_or(0.0)
        }
        value => match value.kind() {
            Kind::Float => value.as_f64().unwrap_or(0.0),
            _ => to_int(value) as f64,
        },
    }
}

fn ints(numbers: Vec<i64>) -> Value {
    Value::Ints(std::rc::Rc::new(numbers))
}

/// The numbers from the first bound up or down to the second, which is not among them.
fn steps(call: &Call<'_>, (first, bound): (i64, i64), step: i64) -> Result<Vec<i64>, String> {
    let mut numbers = Vec::new();
    if step == 0 || (bound < first) != (step < 0) {
        return Ok(numbers);
    }
    let mut number = first;
    while if step > 0 {
        number < bound
    } else {
        number > bound
    } {
        call.work.step()?;
        numbers.push(number);
        let Some(next) = number.checked_add(step) else {
            break;
        };
        number = next;
    }
    Ok(numbers)
}

fn sequence(call: &Call<'_>) -> Result<Value, String> {
    let numbers: Vec<i64> = call.args.iter().map(to_int).collect();
    let (start, step, end) = match numbers.as_slice() {
        [end] => (1, if *end < 1 { -1 } else { 1 }, *end),
        [start, end] => (*start, if end < start { -1 } else { 1 }, *end),
        [start, step, end] => {
            if end < start && *step > 0 {
                return call.done("");
            }
            (*start, *step, *end)
        }
        _ => return call.done(""),
    };
    let beyond = if end < start { -1 } else { 1 };
    let numbers = steps(call, (start, end.saturating_add(beyond)), step)?;
    let texts: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    call.done(texts.join(" "))
}

fn divide(call: &Call<'_>, divide: fn(i64, i64) -> i64) -> Result<Value, String> {
    let divisor = to_int(call.arg(1));
    if divisor == 0 {
        return Err("runtime error: integer divide by zero".to_owned());
    }
    Ok(Value::Int64(divide(to_int(call.arg(0)), divisor)))
}

fn extreme(call: &Call<'_>, choose: fn(i64, i64) -> i64) -> Value {
    let chosen = call.args.iter().map(to_int).reduce(choose);
    Value::Int64(chosen.unwrap_or(0))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "more places than this change nothing"
)]
fn round(call: &Call<'_>) -> Value {
    let places = call.int(1).clamp(-400, 400) as i32;
    let threshold = call.args.get(2).map_or(0.5, to_float);
    let power = 10_f64.powi(places);
    let digits = power * to_float(call.arg(0));
    let rounded = if digits.fract() >= threshold {
        digits.ceil()
    } else {
        digits.floor()
    };
    Value::Float(rounded / power)
}
