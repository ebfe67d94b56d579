//! The name that somebody meant who wrote another.

/// How many letters may be wrong, missing or too many.
const MAX_WRONG: usize = 2;

/// The name of `names` that comes nearest to `written`, if one is near: an abbreviation, or a slip of the fingers.
pub(crate) fn nearest<'a>(written: &str, names: &[&'a str]) -> Option<&'a str> {
    let mut abbreviated = names.iter().filter(|name| !written.is_empty() && name.starts_with(written));
    if let (Some(name), None) = (abbreviated.next(), abbreviated.next()) {
        return Some(name);
    }
    let near = names.iter().map(|name| (wrong_letters(written, name), *name));
    // Of a short name, half has to be right.
    let near = near.filter(|(wrong, name)| *wrong <= MAX_WRONG.min(name.chars().count() / 2));
    near.min_by_key(|(wrong, _)| *wrong).map(|(_, name)| name)
}

/// The Levenshtein distance; at once something over [`MAX_WRONG`] where the lengths already tell.
fn wrong_letters(written: &str, name: &str) -> usize {
    let (written, name): (Vec<_>, Vec<_>) = (written.chars().collect(), name.chars().collect());
    if written.len().abs_diff(name.len()) > MAX_WRONG {
        return usize::MAX;
    }
    let first: Vec<usize> = (0..=name.len()).collect();
    let last = written.iter().fold(first, |above, letter| row_below(&above, *letter, &name));
    last.last().copied().unwrap_or(usize::MAX)
}

/// The next row of the table of distances: that of one letter more of what was written.
fn row_below(above: &[usize], letter: char, name: &[char]) -> Vec<usize> {
    let mut left = above.first().map_or(usize::MAX, |wrong| wrong.saturating_add(1));
    let mut row = vec![left];
    for (other, pair) in name.iter().zip(above.windows(2)) {
        let [diagonal, over] = pair else { continue };
        let replaced = diagonal.saturating_add(usize::from(letter != *other));
        left = replaced.min(over.saturating_add(1)).min(left.saturating_add(1));
        row.push(left);
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = ["list", "show", "self-sign", "csr", "write"];

    #[test]
    fn slips_and_abbreviations_are_understood() {
        for (written, meant) in [
            ("lst", "list"),
            ("lisst", "list"),
            ("shwo", "show"),
            ("selfsign", "self-sign"),
            ("self", "self-sign"),
            ("w", "write"),
        ] {
            assert_eq!(nearest(written, &NAMES), Some(meant), "{written}");
        }
    }

    #[test]
    fn what_is_far_from_all_is_left_alone() {
        for written in ["", "xyz", "s", "nonsense", &"l".repeat(100_000)] {
            assert_eq!(nearest(written, &NAMES), None, "{written:.20}");
        }
    }

    #[test]
    fn letters_are_counted() {
        assert_eq!(wrong_letters("", "ab"), 2);
        assert_eq!(wrong_letters("kitten", "sitting"), 3);
        assert_eq!(wrong_letters("Zoë", "Zoe"), 1);
        assert_eq!(wrong_letters("a", "abcd"), usize::MAX);
    }
}
