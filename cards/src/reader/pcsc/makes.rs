//! What is known from use of some makers' readers with keys, and no property says: which take PINs of any length, which
//! have to be told something first (GnuPG's scd, `apdu.c`, `pcsc_vendor_specific_init`).

/// What is special about a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Make {
    /// USB number of the maker, and of the product where not all of theirs are meant.
    vendor: u32,
    product: Option<u32>,
    /// What a reader's name has in it where the driver does not tell the numbers.
    name: Option<&'static str>,
    /// It takes PINs of any length.
    pub(super) any_length: bool,
    /// It takes longer PINs than it says.
    pub(super) understates: bool,
    /// What it is told before its keys are used.
    pub(super) setup: Option<Setup>,
}

/// A command to the reader itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Setup {
    pub(super) command: &'static [u8],
    /// Without it the keys are of no use. Otherwise an error means nothing: the reader gives one when no card has power.
    pub(super) must_succeed: bool,
}

const fn takes_any_length(vendor: u32, product: Option<u32>, name: &'static str) -> Make {
    Make { vendor, product, name: Some(name), any_length: true, understates: false, setup: None }
}

const VEGA_ALPHA: Make = Make {
    vendor: 0x0982,
    product: Some(0x0008),
    name: None,
    any_length: false,
    understates: false,
    setup: Some(Setup { command: &[0xb5, 0x01, 0x00, 0x03, 0x00], must_succeed: true }),
};

/// SCM's SPR332 has the same number.
const SPR_532: Make = Make {
    setup: Some(Setup { command: &[0x80, 0x02, 0x00], must_succeed: false }),
    ..takes_any_length(0x04e6, Some(0xe003), "SPRx32")
};

const CHERRY: Make = Make { understates: true, ..takes_any_length(0x046a, None, "ST-2xxx") };

const ALL: [Make; 8] = [
    VEGA_ALPHA,
    SPR_532,
    CHERRY,
    // REINER SCT, KOBIL, Vasco, FSIJ, Trustica.
    takes_any_length(0x0c4b, None, "cyberJack"),
    takes_any_length(0x0d46, None, "KAAN"),
    takes_any_length(0x1a44, None, "DIGIPASS"),
    takes_any_length(0x234b, None, "Gnuk"),
    takes_any_length(0x1fc9, Some(0x81e6), "Trustica"),
];

/// The make with these USB numbers.
pub(super) fn by_numbers(vendor: u32, product: Option<u32>) -> Option<Make> {
    ALL.into_iter().find(|make| make.vendor == vendor && (make.product.is_none() || make.product == product))
}

/// The make of a reader with this name.
pub(super) fn by_name(reader: &str) -> Option<Make> {
    ALL.into_iter().find(|make| make.name.is_some_and(|name| reader.contains(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_product_of_a_maker_is_meant() {
        assert!(by_numbers(0x1fc9, Some(0x81e6)).is_some_and(|make| make.any_length));
        assert_eq!(by_numbers(0x1fc9, Some(0x81e7)), None);
        assert_eq!(by_numbers(0x1fc9, None), None);
        assert!(by_numbers(0x0c4b, None).is_some(), "all of REINER's are");
    }

    #[test]
    fn a_reader_is_known_by_its_name_too() {
        assert_eq!(by_name("SCM Microsystems Inc. SPRx32 [CCID Interface] 00 00"), Some(SPR_532));
        assert_eq!(by_name("Virtual PCD 00 00"), None);
    }
}
