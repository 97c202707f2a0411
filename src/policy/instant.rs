//! Instants as Cedar's values, without a text being written and read for each.
//!
//! Cedar makes an instant of a text, which takes longer than the rest of a check, or of another instant and a duration. So days are made of
//! text and kept, and what is left of an instant is added: minutes, seconds and milliseconds, each from a table.

use std::cell::RefCell;
use std::sync::LazyLock;

use cedar_policy_core::ast::{ExtensionFunction, Name, PartialValue, RestrictedExpr, Value};
use cedar_policy_core::evaluator::RestrictedEvaluator;
use cedar_policy_core::extensions::Extensions;

use crate::domain::Timestamp;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 24 * 60 * MINUTE;

/// What instants are made with.
struct Making {
    datetime: Name,
    offset: &'static ExtensionFunction,
    minutes: Vec<Value>,
    seconds: Vec<Value>,
    millis: Vec<Value>,
}

static MAKING: LazyLock<Option<Making>> = LazyLock::new(Making::new);

/// Instants that were made before on this thread, each at the place that its number gives.
struct Made([Option<(i64, Value)>; MADE]);
const MADE: usize = 64;

thread_local! {
    static DAYS: RefCell<Made> = const { RefCell::new(Made([const { None }; MADE])) };
    static SECONDS: RefCell<Made> = const { RefCell::new(Made([const { None }; MADE])) };
}

/// An instant; nothing where Cedar has no values for instants. Years have four digits for Cedar, as they have for [`Timestamp`].
pub(super) fn datetime(at: Timestamp) -> Option<Value> {
    let making = MAKING.as_ref()?;
    let millis = at.millis();
    let second = made(&SECONDS, millis.div_euclid(SECOND), |second| {
        let millis = second.checked_mul(SECOND)?;
        let day = made(&DAYS, millis.div_euclid(DAY), |day| making.read(Timestamp::from_millis(day.checked_mul(DAY)?)))?;
        let in_day = millis.rem_euclid(DAY);
        let minute = making.later(day, &making.minutes, in_day / MINUTE)?;
        making.later(minute, &making.seconds, in_day % MINUTE / SECOND)
    })?;
    making.later(second, &making.millis, millis.rem_euclid(SECOND))
}

/// What was made of a number before, or is made of it now.
fn made(kept: &'static std::thread::LocalKey<RefCell<Made>>, number: i64, make: impl FnOnce(i64) -> Option<Value>) -> Option<Value> {
    let place = usize::try_from(number.rem_euclid(MADE as i64)).ok()?;
    let found = kept.with_borrow(|made| made.0.get(place)?.as_ref().filter(|(of, _)| *of == number).map(|(_, value)| value.clone()));
    if found.is_some() {
        return found;
    }
    let value = make(number)?;
    kept.with_borrow_mut(|made| made.0.get_mut(place).map(|slot| *slot = Some((number, value.clone()))));
    Some(value)
}

impl Making {
    fn new() -> Option<Self> {
        let extensions = Extensions::all_available();
        let offset = extensions.func(&"offset".parse().ok()?).ok()?;
        let duration: Name = "duration".parse().ok()?;
        let table = |count: i64, unit: i64| -> Option<Vec<Value>> {
            let one = |number: i64| {
                let text = RestrictedExpr::val(format!("{}ms", number.checked_mul(unit)?));
                let expr = RestrictedExpr::call_extension_fn(duration.clone(), [text]);
                RestrictedEvaluator::new(extensions).interpret(expr.as_borrowed()).ok()
            };
            (0..count).map(one).collect()
        };
        Some(Self {
            datetime: "datetime".parse().ok()?,
            offset,
            minutes: table(DAY / MINUTE, MINUTE)?,
            seconds: table(MINUTE / SECOND, SECOND)?,
            millis: table(SECOND, 1)?,
        })
    }

    /// An instant from its text.
    fn read(&self, at: Timestamp) -> Option<Value> {
        let expr = RestrictedExpr::call_extension_fn(self.datetime.clone(), [RestrictedExpr::val(at.to_string())]);
        RestrictedEvaluator::new(Extensions::all_available()).interpret(expr.as_borrowed()).ok()
    }

    /// An instant that is by so many units later.
    fn later(&self, from: Value, table: &[Value], units: i64) -> Option<Value> {
        if units == 0 {
            return Some(from);
        }
        let by = table.get(usize::try_from(units).ok()?)?;
        match self.offset.call(&[from, by.clone()]).ok()? {
            PartialValue::Value(value) => Some(value),
            PartialValue::Residual(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn same(millis: i64) {
        let at = Timestamp::from_millis(millis);
        assert_eq!(datetime(at), MAKING.as_ref().unwrap().read(at), "{at}");
        assert!(datetime(at).is_some(), "{at}");
    }

    #[test]
    fn instants_at_the_edges_are_what_cedar_reads() {
        let (first, last) = (Timestamp::FIRST.millis(), Timestamp::LAST.millis());
        for millis in [first, first + 1, -1, 0, 1, 999, 1000, 59_999, 60_000, DAY - 1, DAY, -DAY, last] {
            same(millis);
        }
    }

    proptest! {
        #[test]
        fn an_instant_is_what_cedar_reads(millis in Timestamp::FIRST.millis()..=Timestamp::LAST.millis(), near in 0..100_000_i64) {
            same(millis);
            same(1_700_000_000_000 + near * 777);
        }
    }
}
