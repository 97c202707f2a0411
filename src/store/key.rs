//! Keys as bytes. Every part of a key delimits itself, so that no two keys share their bytes, and the bytes sort as the names do, so that
//! a list by key is a list by name: a text is followed by a zero byte (no name holds one: control characters are refused where names are
//! made), numbers are big-endian, instants have their sign bit flipped, a case of an enum begins with its number.
//!
//! Lost: a length in front of each text. It is as injective, and it sorts by length first.

use crate::domain::alert::{AlertKind, AlertSubject, Severity};
use crate::domain::command::Due;
use crate::domain::grant::{Cause, GrantRef};
use crate::domain::id::{GrantRequestId, IdempotencyKey, IncidentId, ReviewDefinitionId, ReviewId};
use crate::domain::review::Subject;
use crate::domain::text::Digest;
use crate::domain::{ActivationId, AssignmentId, Day, EligibilityId, Revision, RoleName, TextDigest, Timestamp, Uid};

/// A key, or a part of one.
pub(super) trait Key: Sized {
    /// Appends its bytes.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads it off the front; nothing where the bytes are not one.
    fn read(input: &mut &[u8]) -> Option<Self>;

    /// Its bytes.
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        self.write(&mut out);
        out
    }

    /// Reads a whole key.
    fn parse(mut input: &[u8]) -> Option<Self> {
        let key = Self::read(&mut input)?;
        input.is_empty().then_some(key)
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

fn read_text<'a>(input: &mut &'a [u8]) -> Option<&'a str> {
    let end = input.iter().position(|byte| *byte == 0)?;
    let (text, rest) = input.split_at_checked(end)?;
    *input = rest.get(1..)?;
    std::str::from_utf8(text).ok()
}

fn read_array<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (front, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*front)
}

/// A record's place in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seq(pub u64);

impl Key for Seq {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes());
    }

    fn read(input: &mut &[u8]) -> Option<Self> {
        read_array(input).map(u64::from_be_bytes).map(Self)
    }
}

/// Flips the sign, so that instants before 1970 sort before those after.
const SIGN: u64 = 1 << 63;

impl Key for Timestamp {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.millis().cast_unsigned() ^ SIGN).to_be_bytes());
    }

    fn read(input: &mut &[u8]) -> Option<Self> {
        read_array(input).map(|bytes| Self::from_millis((u64::from_be_bytes(bytes) ^ SIGN).cast_signed()))
    }
}

impl Key for Uid {
    fn write(&self, out: &mut Vec<u8>) {
        write_text(self.kind(), out);
        write_text(self.id(), out);
    }

    fn read(input: &mut &[u8]) -> Option<Self> {
        let kind = read_text(input)?;
        let id = read_text(input)?;
        Self::new(kind, id).ok()
    }
}

/// A text that is no id: a type name, or an id under case folding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label(pub String);

impl Key for Label {
    fn write(&self, out: &mut Vec<u8>) {
        write_text(&self.0, out);
    }

    fn read(input: &mut &[u8]) -> Option<Self> {
        read_text(input).map(|text| Self(text.to_owned()))
    }
}

macro_rules! text_keys {
    ($($name:ident),*) => {$(
        impl Key for $name {
            fn write(&self, out: &mut Vec<u8>) {
                write_text(self.as_str(), out);
            }

            fn read(input: &mut &[u8]) -> Option<Self> {
                Self::new(read_text(input)?).ok()
            }
        }
    )*};
}

text_keys!(RoleName, ActivationId, EligibilityId, AssignmentId, GrantRequestId, IdempotencyKey);
text_keys!(Revision, ReviewDefinitionId, ReviewId, IncidentId);

impl Key for TextDigest {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.0);
    }

    fn read(input: &mut &[u8]) -> Option<Self> {
        read_array(input).map(Digest).map(Self)
    }
}

impl Key for Day {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.0.cast_unsigned() ^ (1 << 31)).to_be_bytes());
    }

    fn read(input: &mut &[u8]) -> Option<Self> {
        read_array(input).map(|bytes| Self((u32::from_be_bytes(bytes) ^ (1 << 31)).cast_signed()))
    }
}

impl Key for GrantRef {
    fn write(&self, out: &mut Vec<u8>) {
        let (number, id): (u8, &dyn WriteKey) = match self {
            Self::Eligibility(id) => (1, id),
            Self::Assignment(id) => (2, id),
        };
        out.push(number);
        id.write_key(out);
    }

    fn read(input: &mut &[u8]) -> Option<Self> {
        match u8::from_be_bytes(read_array(input)?) {
            1 => Key::read(input).map(Self::Eligibility),
            2 => Key::read(input).map(Self::Assignment),
            _ => None,
        }
    }
}

impl Key for Subject {
    fn write(&self, out: &mut Vec<u8>) {
        let (number, id): (u8, &dyn WriteKey) = match self {
            Self::Eligibility(id) => (1, id),
            Self::Assignment(id) => (2, id),
            Self::Activation(id) => (3, id),
        };
        out.push(number);
        id.write_key(out);
    }

    fn read(input: &mut &[u8]) -> Option<Self> {
        match u8::from_be_bytes(read_array(input)?) {
            1 => Key::read(input).map(Self::Eligibility),
            2 => Key::read(input).map(Self::Assignment),
            3 => Key::read(input).map(Self::Activation),
            _ => None,
        }
    }
}

/// Cases of an enum without fields, by their place in the list of all.
macro_rules! place_keys {
    ($($name:ident),*) => {$(
        impl Key for $name {
            fn write(&self, out: &mut Vec<u8>) {
                let place = Self::ALL.iter().position(|case| case == self).and_then(|place| u8::try_from(place).ok());
                out.push(place.map_or(0, |place| place.saturating_add(1)));
            }

            fn read(input: &mut &[u8]) -> Option<Self> {
                let place = u8::from_be_bytes(read_array(input)?).checked_sub(1)?;
                Self::ALL.get(usize::from(place)).copied()
            }
        }
    )*};
}

place_keys!(AlertKind, Severity);

impl Key for AlertSubject {
    fn write(&self, out: &mut Vec<u8>) {
        let (number, part): (u8, &dyn WriteKey) = match self {
            Self::Principal(uid) => (1, uid),
            Self::Role(role) => (2, role),
            Self::Holding { principal, .. } => (3, principal),
            Self::Eligibility(id) => (4, id),
            Self::Assignment(id) => (5, id),
            Self::Activation(id) => (6, id),
            Self::Record(seq) => (7, &Seq(*seq)),
        };
        out.push(number);
        part.write_key(out);
        if let Self::Holding { role, .. } = self {
            role.write(out);
        }
    }

    fn read(input: &mut &[u8]) -> Option<Self> {
        match u8::from_be_bytes(read_array(input)?) {
            1 => Key::read(input).map(Self::Principal),
            2 => Key::read(input).map(Self::Role),
            3 => Some(Self::Holding { principal: Key::read(input)?, role: Key::read(input)? }),
            4 => Key::read(input).map(Self::Eligibility),
            5 => Key::read(input).map(Self::Assignment),
            6 => Key::read(input).map(Self::Activation),
            7 => Seq::read(input).map(|seq| Self::Record(seq.0)),
            _ => None,
        }
    }
}

/// A part of a key that says nothing more than the number before it.
struct Nothing;

impl Key for Nothing {
    fn write(&self, _: &mut Vec<u8>) {}

    fn read(_: &mut &[u8]) -> Option<Self> {
        Some(Self)
    }
}

impl Key for Cause {
    fn write(&self, out: &mut Vec<u8>) {
        let (number, name): (u8, &dyn WriteKey) = match self {
            Self::EligibilityRemoved(id) => (1, id),
            Self::EligibilityEnded(id) => (2, id),
            Self::PrincipalDisabled(uid) => (3, uid),
            Self::PrincipalDeleted(uid) => (4, uid),
            Self::GroupLeft(uid) => (5, uid),
            Self::ScopeDeleted(uid) => (6, uid),
            Self::RoleRemoved(role) => (7, role),
            Self::CapLowered(role) => (8, role),
            Self::PrincipalRevoked(uid) => (9, uid),
            Self::RoleRevoked(role) => (10, role),
            Self::ClockAccepted => (11, &Nothing),
            Self::NotPermitted(uid) => (12, uid),
            Self::WindowPast(at) => (13, at),
            Self::StartMissed(at) => (14, at),
            Self::BudgetExhausted(role) => (15, role),
            Self::ParentEnded(id) => (16, id),
        };
        out.push(number);
        name.write_key(out);
    }

    fn read(input: &mut &[u8]) -> Option<Self> {
        match u8::from_be_bytes(read_array(input)?) {
            1 => Key::read(input).map(Self::EligibilityRemoved),
            2 => Key::read(input).map(Self::EligibilityEnded),
            3 => Key::read(input).map(Self::PrincipalDisabled),
            4 => Key::read(input).map(Self::PrincipalDeleted),
            5 => Key::read(input).map(Self::GroupLeft),
            6 => Key::read(input).map(Self::ScopeDeleted),
            7 => Key::read(input).map(Self::RoleRemoved),
            8 => Key::read(input).map(Self::CapLowered),
            9 => Key::read(input).map(Self::PrincipalRevoked),
            10 => Key::read(input).map(Self::RoleRevoked),
            11 => Some(Self::ClockAccepted),
            12 => Key::read(input).map(Self::NotPermitted),
            13 => Key::read(input).map(Self::WindowPast),
            14 => Key::read(input).map(Self::StartMissed),
            15 => Key::read(input).map(Self::BudgetExhausted),
            16 => Key::read(input).map(Self::ParentEnded),
            _ => None,
        }
    }
}

impl Key for Due {
    fn write(&self, out: &mut Vec<u8>) {
        let (number, name): (u8, &dyn WriteKey) = match self {
            Self::ActivationEnd(id) => (1, id),
            Self::StageTimeout(id) => (2, id),
            Self::EligibilityEnd(id) => (3, id),
            Self::AssignmentEnd(id) => (4, id),
            Self::Cascade(cause) => (5, cause),
            Self::ActivationStart(id) => (6, id),
            Self::GrantRequestTimeout(id) => (7, id),
            Self::ReviewOpening(id) => (8, id),
            Self::ReviewStep(id) => (9, id),
        };
        out.push(number);
        name.write_key(out);
    }

    fn read(input: &mut &[u8]) -> Option<Self> {
        match u8::from_be_bytes(read_array(input)?) {
            1 => Key::read(input).map(Self::ActivationEnd),
            2 => Key::read(input).map(Self::StageTimeout),
            3 => Key::read(input).map(Self::EligibilityEnd),
            4 => Key::read(input).map(Self::AssignmentEnd),
            5 => Key::read(input).map(Self::Cascade),
            6 => Key::read(input).map(Self::ActivationStart),
            7 => Key::read(input).map(Self::GrantRequestTimeout),
            8 => Key::read(input).map(Self::ReviewOpening),
            9 => Key::read(input).map(Self::ReviewStep),
            _ => None,
        }
    }
}

/// The writing half of [`Key`], which a table of cases can hold by reference.
trait WriteKey {
    fn write_key(&self, out: &mut Vec<u8>);
}

impl<K: Key> WriteKey for K {
    fn write_key(&self, out: &mut Vec<u8>) {
        self.write(out);
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
    }

    fn read(input: &mut &[u8]) -> Option<Self> {
        Some((A::read(input)?, B::read(input)?))
    }
}

impl<A: Key, B: Key, C: Key> Key for (A, B, C) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
        self.2.write(out);
    }

    fn read(input: &mut &[u8]) -> Option<Self> {
        Some((A::read(input)?, B::read(input)?, C::read(input)?))
    }
}

/// The items of `meta`, which an auditor with any RocksDB tool finds by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetaKey {
    /// Says that this is Elevon's: `elevon`.
    Magic,
    /// The format version: four bytes, big-endian. It stays readable in every format.
    Format,
    /// `dev` or `normal`.
    Mode,
    /// Where the journal ends.
    Head,
    /// The high-water mark of time.
    Mark,
    /// How many activations are recorded as active.
    Active,
    /// Since when the live bundle has been live; the Unix epoch before the first one.
    LiveSince,
    /// Up to which record every holding that is bound to time is void; 0 where none ever was.
    TimeVoid,
    /// What the clock is held against; missing until a server has run.
    Anchor,
}

impl MetaKey {
    const ALL: [Self; 9] =
        [Self::Magic, Self::Format, Self::Mode, Self::Head, Self::Mark, Self::Active, Self::LiveSince, Self::TimeVoid, Self::Anchor];

    fn as_str(self) -> &'static str {
        match self {
            Self::Magic => "magic",
            Self::Format => "format",
            Self::Mode => "mode",
            Self::Head => "head",
            Self::Mark => "mark",
            Self::Active => "active",
            Self::LiveSince => "live_since",
            Self::TimeVoid => "time_void",
            Self::Anchor => "anchor",
        }
    }
}

impl Key for MetaKey {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_str().as_bytes());
    }

    fn read(input: &mut &[u8]) -> Option<Self> {
        let found = Self::ALL.into_iter().find(|key| key.as_str().as_bytes() == *input);
        *input = &[];
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn uid() -> impl Strategy<Value = Uid> {
        ("[A-Z][a-z]{0,3}", "[a-zé:\"/]{1,4}").prop_map(|(kind, id)| Uid::new(&kind, &id).unwrap())
    }

    proptest! {
        #[test]
        fn keys_read_back_and_sort_as_names_do(one in (uid(), uid(), any::<i64>()), other in (uid(), uid(), any::<i64>())) {
            let key = |(a, b, t): &(Uid, Uid, i64)| (a.clone(), b.clone(), Timestamp::from_millis(*t));
            let (left, right) = (key(&one), key(&other));
            prop_assert_eq!(<(Uid, Uid, Timestamp)>::parse(&left.bytes()), Some(left.clone()));
            prop_assert_eq!(left.bytes().cmp(&right.bytes()), left.cmp(&right));
        }

        #[test]
        fn bytes_that_are_no_key_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = (<Uid as Key>::parse(&bytes), Seq::parse(&bytes), MetaKey::parse(&bytes), TextDigest::parse(&bytes));
            let _ = (<(Timestamp, Due)>::parse(&bytes), Cause::parse(&bytes), <(Label, Label, Uid)>::parse(&bytes));
            if let Some(key) = <(Timestamp, Due)>::parse(&bytes) {
                prop_assert_eq!(key.bytes(), bytes);
            }
        }
    }
}
