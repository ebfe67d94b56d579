//! Values of `claviger.toml`: from what TOML says to what is meant.

use std::ffi::OsString;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use claviger_cards::pkcs11::LoginMode;
use claviger_keys::Keygrip;
use claviger_keys::pkcs11::uri::Uri;
use toml::Spanned;
use toml::de::DeValue;

/// The longest time that may be given to a module.
const MAX_TIME: Duration = Duration::from_secs(24 * 3600);

/// The shortest: less is none.
const MIN_TIME: Duration = Duration::from_millis(10);

/// The least memory in which a helper can live at all, in octets.
const MIN_MEMORY: u64 = 16 << 20;

/// The most threads of one module.
const MAX_THREADS: u64 = 64;

/// The longest name of a provider, in octets.
const MAX_NAME: usize = 64;

/// A value as TOML has it, and where.
pub(super) type Value<'i> = Spanned<DeValue<'i>>;

/// A value that is not what it should be.
#[derive(Debug)]
pub(super) struct Wrong {
    /// What is there.
    pub(super) found: String,
    /// Where it is in the text.
    pub(super) at: Range<usize>,
}

type Read<T> = Result<T, Wrong>;

/// Anything that is not what it should be.
pub(super) fn wrong(value: &Value<'_>) -> Wrong {
    let found = match value.get_ref() {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        other => format!("this {}", other.type_str()),
    };
    Wrong { found, at: value.span() }
}

/// `true` or `false`.
pub(super) fn flag(value: &Value<'_>) -> Read<bool> {
    value.get_ref().as_bool().ok_or_else(|| wrong(value))
}

/// A name: letters, digits, dots, dashes and underscores.
pub(super) fn name(value: &Value<'_>) -> Read<String> {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_');
    let text = text(value)?;
    let good = !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(plain);
    if good { Ok(text.to_owned()) } else { Err(wrong(value)) }
}

/// The path of a file.
pub(super) fn path(value: &Value<'_>) -> Read<PathBuf> {
    let text = text(value)?;
    if text.is_empty() || text.contains('\0') { Err(wrong(value)) } else { Ok(text.into()) }
}

/// A list of texts.
pub(super) fn texts(value: &Value<'_>) -> Read<Vec<String>> {
    list(value, |item| text(item).map(str::to_owned))
}

/// A list of `pkcs11:` URIs.
pub(super) fn uris(value: &Value<'_>) -> Read<Vec<Uri>> {
    list(value, |item| {
        let text = text(item)?;
        text.parse().map_err(|error| Wrong { found: format!("{text:?}: {error}"), at: item.span() })
    })
}

/// A list of numbers of slots.
pub(super) fn numbers(value: &Value<'_>) -> Read<Vec<u64>> {
    list(value, number)
}

/// How many threads.
pub(super) fn threads(value: &Value<'_>) -> Read<usize> {
    let count = number(value)?;
    let good = (1..=MAX_THREADS).contains(&count);
    usize::try_from(count).ok().filter(|_| good).ok_or_else(|| wrong(value))
}

/// A table of environment variables; `false` removes one.
pub(super) fn environment(value: &Value<'_>) -> Read<Vec<(OsString, Option<OsString>)>> {
    let table = value.get_ref().as_table().ok_or_else(|| wrong(value))?;
    let mut changes = Vec::new();
    for (variable, value) in table {
        let name = variable.get_ref();
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(Wrong { found: format!("the name {name:?}"), at: variable.span() });
        }
        changes.push((name.as_ref().into(), variable_value(value)?));
    }
    Ok(changes)
}

fn variable_value(value: &Value<'_>) -> Read<Option<OsString>> {
    match value.get_ref() {
        DeValue::Boolean(false) => Ok(None),
        DeValue::String(text) if !text.contains('\0') => Ok(Some(text.as_ref().into())),
        _ => Err(wrong(value)),
    }
}

/// When the PIN is given.
pub(super) fn login(value: &Value<'_>) -> Read<LoginMode> {
    match text(value)? {
        "when-needed" => Ok(LoginMode::WhenNeeded),
        "always" => Ok(LoginMode::Always),
        "never" => Ok(LoginMode::Never),
        _ => Err(wrong(value)),
    }
}

/// A time: a number of seconds, or a number with its unit (`ms`, `s`, `m`, `h`).
pub(super) fn time(value: &Value<'_>) -> Read<Duration> {
    let seconds = match value.get_ref() {
        DeValue::Integer(number) => number.as_str().parse().ok().filter(|_| number.radix() == 10),
        DeValue::Float(number) => number.as_str().parse().ok(),
        DeValue::String(text) => seconds_of(text),
        _ => None,
    };
    let time = seconds.and_then(|seconds: f64| Duration::try_from_secs_f64(seconds).ok());
    time.filter(|time| (MIN_TIME..=MAX_TIME).contains(time)).ok_or_else(|| wrong(value))
}

fn seconds_of(text: &str) -> Option<f64> {
    let (number, unit) = split_at_unit(text);
    let factor = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

/// An amount of memory: octets, or a number with its unit (`K`, `M`, `G`: powers of 1,024).
pub(super) fn memory(value: &Value<'_>) -> Read<u64> {
    let octets = match value.get_ref() {
        DeValue::String(text) => octets_of(text),
        _ => Some(number(value)?),
    };
    octets.filter(|octets| *octets >= MIN_MEMORY).ok_or_else(|| wrong(value))
}

fn octets_of(text: &str) -> Option<u64> {
    let (number, unit) = split_at_unit(text);
    let factor = match unit.trim_end_matches("iB").trim_end_matches('B') {
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn split_at_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

/// A keygrip: 40 hexadecimal digits.
pub(super) fn keygrip(value: &Value<'_>) -> Read<Keygrip> {
    text(value)?.parse().map_err(|_| wrong(value))
}

fn text<'v>(value: &'v Value<'_>) -> Read<&'v str> {
    value.get_ref().as_str().ok_or_else(|| wrong(value))
}

fn number(value: &Value<'_>) -> Read<u64> {
    let number = value.get_ref().as_integer().ok_or_else(|| wrong(value))?;
    u64::from_str_radix(number.as_str(), number.radix()).map_err(|_| wrong(value))
}

fn list<T>(value: &Value<'_>, item: impl Fn(&Value<'_>) -> Read<T>) -> Read<Vec<T>> {
    value.get_ref().as_array().ok_or_else(|| wrong(value))?.iter().map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T>(text: &str, read: fn(&Value<'_>) -> Read<T>) -> Result<T, String> {
        read(&DeValue::parse(text).unwrap()).map_err(|wrong| wrong.found)
    }

    #[test]
    fn times_are_seconds_or_have_a_unit() {
        for (text, milliseconds) in [
            ("3", 3000),
            ("0.5", 500),
            ("\"30s\"", 30_000),
            ("\"250 ms\"", 250),
            ("\"2m\"", 120_000),
            ("\"1h\"", 3_600_000),
        ] {
            assert_eq!(read(text, time), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in
            ["0", "-1", "nan", "inf", "\"30\"", "\"s\"", "\"soon\"", "1e300", "0x10", "true", "90000000"]
        {
            assert!(read(text, time).is_err(), "{text}");
        }
    }

    #[test]
    fn memory_is_octets_or_has_a_unit() {
        for (text, octets) in [("1073741824", 1 << 30), ("\"512M\"", 512 << 20), ("\"1 GiB\"", 1 << 30)] {
            assert_eq!(read(text, memory), Ok(octets), "{text}");
        }
        for text in
            ["1", "-1", "\"1\"", "\"1T\"", "\"99999999999999999999G\"", "\"18446744073709551615G\"", "1.5"]
        {
            assert!(read(text, memory).is_err(), "{text}");
        }
    }

    #[test]
    fn an_environment_variable_is_set_emptied_or_removed() {
        let changes = read("{ A = \"1\", B = \"\", C = false }", environment).unwrap();
        let change = |name: &str, value: Option<&str>| (name.into(), value.map(Into::into));
        assert_eq!(changes, [change("A", Some("1")), change("B", Some("")), change("C", None)]);
        assert_eq!(read("{ A = true }", environment), Err("true".to_owned()));
        assert_eq!(read("{ \"A=B\" = \"\" }", environment), Err("the name \"A=B\"".to_owned()));
    }

    #[test]
    fn names_slots_threads_and_uris_are_what_they_can_be() {
        assert!(read("\"my.token-1_a\"", name).is_ok());
        assert!(["\"\"", "\"a b\"", "\"a\\n\"", "1"].iter().all(|text| read(text, name).is_err()));
        assert_eq!(read("[0, 0x10]", numbers), Ok(vec![0, 16]));
        assert!(read("[-1]", numbers).is_err() && read("0", numbers).is_err());
        assert_eq!(read("4", threads), Ok(4));
        assert!(read("0", threads).is_err() && read("65", threads).is_err());
        assert_eq!(read("[\"pkcs11:token=a\"]", uris).unwrap().len(), 1);
        assert_eq!(
            read("[\"token=a\"]", uris).unwrap_err(),
            "\"token=a\": no PKCS#11 URI: it begins with pkcs11:"
        );
    }
}
