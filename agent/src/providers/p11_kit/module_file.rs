//! Reads a file of p11-kit's: `name: value`, a line each; pkcs11.conf(5), "File format".

use std::collections::BTreeMap;

/// The most fields of a file.
const MAX_FIELDS: usize = 256;

/// Fields by their names.
pub type Fields = BTreeMap<String, String>;

/// Why a text is no file of p11-kit's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoFields {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Reads a file's text. Of a field that is there twice the last counts.
///
/// # Errors
/// [`NoFields`] for a line that is no field, no comment and not empty.
pub fn read(text: &str) -> Result<Fields, NoFields> {
    let mut fields = Fields::new();
    for (number, line) in text.split('\n').enumerate() {
        let line = line.trim_matches(is_space);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let refuse = |problem| NoFields { line: number.saturating_add(1), problem };
        let (name, value) = field(line).map_err(refuse)?;
        fields.insert(name.to_owned(), value.to_owned());
        if fields.len() > MAX_FIELDS {
            return Err(refuse("too many fields"));
        }
    }
    Ok(fields)
}

fn field(line: &str) -> Result<(&str, &str), &'static str> {
    if line.starts_with('[') || line.starts_with("-----BEGIN ") {
        return Err("no field: sections and PEM blocks have no place here");
    }
    let (name, value) = line.split_once(':').ok_or("no field: there is no colon")?;
    Ok((name.trim_end_matches(is_space), value.trim_start_matches(is_space)))
}

/// What C's `isspace` takes for one, and octets that end a text there.
fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\x0b' | '\x0c' | '\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_names_and_values_without_the_space_around() {
        let fields = read("# c\n\n module :  a b.so \r\nx-init-reserved:\nx:y:z\nx:last\n").unwrap();
        let expected = [("module", "a b.so"), ("x", "last"), ("x-init-reserved", "")];
        assert!(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(expected));
    }

    #[test]
    fn lines_that_are_no_fields_are_named() {
        for (text, line) in [("a: b\nmodule\n", 2), ("[section]\n", 1), ("\n-----BEGIN X-----\n", 2)] {
            assert_eq!(read(text).unwrap_err().line, line, "{text}");
        }
        let many: String = (0..=MAX_FIELDS).map(|n| format!("f{n}:\n")).collect();
        assert_eq!(read(&many).unwrap_err(), NoFields { line: MAX_FIELDS + 1, problem: "too many fields" });
    }
}
