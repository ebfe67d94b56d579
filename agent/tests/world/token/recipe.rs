//! What is on a token, as text: one order a line, words with `name=value` between blanks. Text in, orders out.
//!
//! ```text
//! token office serial=00000000c1a51e01 pin=123456
//! key rsa2048 id=01 usage=sign,decrypt certificate
//! key p256 id=02 usage=sign public=none
//! certificate authority id=7F
//! many p256 1000
//! ```
//!
//! `token` begins another one. A key comes from `testdata/tokens/KIND.pem`; without `usage` it can do all that its kind can. Its
//! public key is there for everybody, `public=private` after a login only, `public=none` not at all; `private=public` shows the
//! private key to everybody, too. `always` wants a PIN for each use. `certificate` adds one by the authority of the tests,
//! `certificate=2` two. `many` makes so many new pairs, each with a certificate and an id of two octets.

/// A token and what is on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recipe {
    /// `label`
    pub(crate) label: String,
    /// The 16 digits that it is to have; SoftHSM's own choice if there are none.
    pub(crate) serial: Option<String>,
    /// The user's PIN.
    pub(crate) pin: String,
    /// The objects, in order.
    pub(crate) objects: Vec<Object>,
}

/// One or several objects of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Object {
    /// A pair.
    Key(Key),
    /// A certificate without a key.
    Certificate {
        /// `authority`, or a file of `testdata/certificates/` without its ending.
        name: String,
        /// `CKA_ID`.
        id: Vec<u8>,
    },
    /// New pairs with certificates.
    Many {
        /// `rsa2048` or `p256`.
        kind: String,
        /// How many.
        count: u16,
    },
}

/// A pair of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// The name of its file, and its label.
    pub(crate) kind: String,
    /// `CKA_ID`.
    pub(crate) id: Vec<u8>,
    /// What it may be used for; all if nothing is said.
    pub(crate) usage: Option<String>,
    /// Who sees the public key.
    pub(crate) public: Seen,
    /// Who sees the private key.
    pub(crate) private: Seen,
    /// `CKA_ALWAYS_AUTHENTICATE`.
    pub(crate) always: bool,
    /// How many certificates it has.
    pub(crate) certificates: u8,
}

impl Key {
    /// Whether it may be used for this.
    pub(crate) fn may(&self, usage: &str) -> bool {
        self.usage.as_ref().is_none_or(|usages| usages.split(',').any(|one| one == usage))
    }
}

/// Who sees an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Everybody.
    Public,
    /// Who has logged in.
    Private,
    /// Nobody: it is not there.
    None,
}

/// Reads the orders of one or several tokens.
pub(crate) fn parse(text: &str) -> Vec<Recipe> {
    let mut recipes: Vec<Recipe> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words = Words::of(line);
        match words.order {
            "token" => recipes.push(token(&words)),
            _ => recipes.last_mut().expect("a token comes first").objects.push(object(&words)),
        }
    }
    recipes
}

fn token(words: &Words<'_>) -> Recipe {
    Recipe {
        label: words.what.to_owned(),
        serial: words.value("serial").map(str::to_owned),
        pin: words.value("pin").unwrap_or("123456").to_owned(),
        objects: Vec::new(),
    }
}

fn object(words: &Words<'_>) -> Object {
    match words.order {
        "key" => Object::Key(Key {
            kind: words.what.to_owned(),
            id: words.id(),
            usage: words.value("usage").map(str::to_owned),
            public: words.value("public").map_or(Seen::Public, seen),
            private: words.value("private").map_or(Seen::Private, seen),
            always: words.value("always").is_some(),
            certificates: words.value("certificate").map_or(0, |count| count.parse().unwrap_or(1)),
        }),
        "certificate" => Object::Certificate { name: words.what.to_owned(), id: words.id() },
        "many" => {
            let count = words.rest.first().expect("how many").0.parse().expect("a number");
            Object::Many { kind: words.what.to_owned(), count }
        }
        other => panic!("no order: {other}"),
    }
}

fn seen(word: &str) -> Seen {
    match word {
        "public" => Seen::Public,
        "private" => Seen::Private,
        "none" => Seen::None,
        other => panic!("seen by whom? {other}"),
    }
}

struct Words<'a> {
    order: &'a str,
    what: &'a str,
    rest: Vec<(&'a str, &'a str)>,
}

impl<'a> Words<'a> {
    fn of(line: &'a str) -> Self {
        let mut words = line.split_whitespace();
        let order = words.next().expect("an order");
        let what = words.next().unwrap_or_else(|| panic!("{line}: what?"));
        let rest = words.map(|word| word.split_once('=').unwrap_or((word, ""))).collect();
        Self { order, what, rest }
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.rest.iter().find(|(found, _)| *found == name).map(|(_, value)| *value)
    }

    fn id(&self) -> Vec<u8> {
        let digits = self.value("id").unwrap_or_default().as_bytes();
        let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16);
        digits.chunks(2).map(|pair| octet(pair).expect("hexadecimal digits")).collect()
    }
}
