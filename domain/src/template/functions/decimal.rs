//! Decimal arithmetic, exact as far as 38 digits go.

use super::Call;
use super::numbers::to_float;

/// A number of this coefficient times ten to this power.
#[derive(Clone, Copy)]
pub(super) struct Decimal {
    coefficient: i128,
    exponent: i32,
}

/// The decimal places that a division keeps.
const PLACES: i32 = 16;

type Operation = fn(Decimal, Decimal) -> Option<Decimal>;

/// An operation over all arguments of a call, from the left.
pub(super) fn fold(call: &Call<'_>, operation: Operation) -> f64 {
    let numbers: Vec<f64> = call.args.iter().map(to_float).collect();
    compute(&numbers, operation)
}

pub(super) fn compute(numbers: &[f64], operation: Operation) -> f64 {
    let decimals = numbers.iter().map(|number| Decimal::of(*number));
    let result = decimals.reduce(|left, right| operation(left?, right?));
    match result {
        None => 0.0,
        Some(Some(result)) => result.as_f64(),
        Some(None) => f64::NAN,
    }
}

pub(super) fn add(left: Decimal, right: Decimal) -> Option<Decimal> {
    let exponent = left.exponent.min(right.exponent);
    let sum = left
        .scaled(exponent)?
        .checked_add(right.scaled(exponent)?)?;
    Some(Decimal {
        coefficient: sum,
        exponent,
    })
}

pub(super) fn subtract(left: Decimal, right: Decimal) -> Option<Decimal> {
    add(
        left,
        Decimal {
            coefficient: right.coefficient.checked_neg()?,
            ..right
        },
    )
}

pub(super) fn multiply(left: Decimal, right: Decimal) -> Option<Decimal> {
    Some(Decimal {
        coefficient: left.coefficient.checked_mul(right.coefficient)?,
        exponent: left.exponent.checked_add(right.exponent)?,
    })
}

pub(super) fn divide(left: Decimal, right: Decimal) -> Option<Decimal> {
    // The dividend is scaled so that the quotient has the places that are kept, and is rounded.
    let shift = left.exponent - right.exponent + PLACES;
    let (dividend, divisor) = if shift >= 0 {
        (
            Decimal {
                exponent: shift,
                ..left
            }
            .scaled(0)?,
            right.coefficient,
        )
    } else {
        (
            left.coefficient,
            Decimal {
                exponent: -shift,
                ..right
            }
            .scaled(0)?,
        )
    };
    let quotient = dividend.checked_div(divisor)?;
    let remainder = dividend.checked_rem(divisor)?;
    let rounds_up = remainder.checked_abs()?.checked_mul(2)? >= divisor.checked_abs()?;
    let sign = if (dividend < 0) == (divisor < 0) {
        1
    } else {
        -1
    };
    let coefficient = if rounds_up {
        quotient.checked_add(sign)?
    } else {
        quotient
    };
    Some(Decimal {
        coefficient,
        exponent: -PLACES,
    })
}

impl Decimal {
    /// The number that the shortest decimal form of the float says.
    fn of(number: f64) -> Option<Self> {
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e')?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent: i32 = exponent.parse().ok()?;
        Some(Self {
            coefficient: format!("{whole}{fraction}").parse().ok()?,
            exponent: exponent - i32::try_from(fraction.len()).ok()?,
        })
    }

    /// The coefficient for a smaller exponent.
    fn scaled(self, exponent: i32) -> Option<i128> {
        let power = u32::try_from(self.exponent.checked_sub(exponent)?).ok()?;
        if self.coefficient == 0 {
            return Some(0);
        }
        self.coefficient.checked_mul(10_i128.checked_pow(power)?)
    }

    fn as_f64(self) -> f64 {
        format!("{}e{}", self.coefficient, self.exponent)
            .parse()
            .unwrap_or(f64::NAN)
    }
}
