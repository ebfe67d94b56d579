//! The domain parameters that go into keygrips, in the form libgcrypt hashes them in.
//!
//! Numbers are big endian without zeros in front (zero is empty), the base point is 04‖x‖y on every kind of curve. Two
//! quirks: *a* and *b* of Ed25519 are negative in libgcrypt's table (−1, and −121665/121666 as −2DFC…), and their
//! magnitudes are hashed; and for the curves in Montgomery form *a* stands for (*A* − 2)/4 and *b* for *B*.
//!
//! Sources: SEC 2 and FIPS 186-4, RFC 5639, RFC 7748, RFC 8032.

use crate::curve::Curve;

/// What libgcrypt hashes of a curve.
pub(super) struct Domain {
    /// The prime.
    pub(super) p: &'static [u8],
    /// The first coefficient.
    pub(super) a: &'static [u8],
    /// The second coefficient.
    pub(super) b: &'static [u8],
    /// The base point.
    pub(super) g: &'static [u8],
    /// The order of the base point.
    pub(super) n: &'static [u8],
}

impl Domain {
    pub(super) const fn of(curve: Curve) -> &'static Self {
        match curve {
            Curve::NistP256 => &NIST_P256,
            Curve::NistP384 => &NIST_P384,
            Curve::NistP521 => &NIST_P521,
            Curve::BrainpoolP256r1 => &BRAINPOOL_P256R1,
            Curve::BrainpoolP384r1 => &BRAINPOOL_P384R1,
            Curve::BrainpoolP512r1 => &BRAINPOOL_P512R1,
            Curve::Secp256k1 => &SECP256K1,
            Curve::Ed25519 => &ED25519,
            Curve::Curve25519 => &CURVE25519,
            Curve::Ed448 => &ED448,
            Curve::X448 => &X448,
        }
    }
}

/// Hexadecimal digits as octets, at compile time: a wrong count does not compile.
const fn octets<const N: usize>(hex: &str) -> [u8; N] {
    let digits = hex.as_bytes();
    assert!(digits.len() == 2 * N);
    let mut octets = [0; N];
    let mut i = 0;
    while i < N {
        octets[i] = digit(digits[2 * i]) << 4 | digit(digits[2 * i + 1]);
        i += 1;
    }
    octets
}

const fn digit(hex: u8) -> u8 {
    match hex {
        b'0'..=b'9' => hex - b'0',
        b'a'..=b'f' => hex - b'a' + 10,
        _ => panic!("not a lower-case hexadecimal digit"),
    }
}

static NIST_P256: Domain = Domain {
    p: &octets::<32>("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff"),
    a: &octets::<32>("ffffffff00000001000000000000000000000000fffffffffffffffffffffffc"),
    b: &octets::<32>("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b"),
    g: &octets::<65>(concat!(
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e",
        "162bce33576b315ececbb6406837bf51f5",
    )),
    n: &octets::<32>("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
};

static NIST_P384: Domain = Domain {
    p: &octets::<48>(
        "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
    ),
    a: &octets::<48>(
        "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000fffffffc",
    ),
    b: &octets::<48>(
        "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
    ),
    g: &octets::<97>(concat!(
        "04aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760a",
        "b73617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e",
        "5f",
    )),
    n: &octets::<48>(
        "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    ),
};

static NIST_P521: Domain = Domain {
    p: &octets::<66>(concat!(
        "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "ffffffffffffffffffffffffffffffffffff",
    )),
    a: &octets::<66>(concat!(
        "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "fffffffffffffffffffffffffffffffffffc",
    )),
    b: &octets::<65>(concat!(
        "51953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf",
        "073573df883d2c34f1ef451fd46b503f00",
    )),
    g: &octets::<133>(concat!(
        "0400c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2",
        "ffa8de3348b3c1856a429bf97e7e31c2e5bd66011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd",
        "17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650",
    )),
    n: &octets::<66>(concat!(
        "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709",
        "a5d03bb5c9b8899c47aebb6fb71e91386409",
    )),
};

static BRAINPOOL_P256R1: Domain = Domain {
    p: &octets::<32>("a9fb57dba1eea9bc3e660a909d838d726e3bf623d52620282013481d1f6e5377"),
    a: &octets::<32>("7d5a0975fc2c3057eef67530417affe7fb8055c126dc5c6ce94a4b44f330b5d9"),
    b: &octets::<32>("26dc5c6ce94a4b44f330b5d9bbd77cbf958416295cf7e1ce6bccdc18ff8c07b6"),
    g: &octets::<65>(concat!(
        "048bd2aeb9cb7e57cb2c4b482ffc81b7afb9de27e1e3bd23c23a4453bd9ace3262547ef835c3dac4fd97f8461a14611d",
        "c9c27745132ded8e545c1d54c72f046997",
    )),
    n: &octets::<32>("a9fb57dba1eea9bc3e660a909d838d718c397aa3b561a6f7901e0e82974856a7"),
};

static BRAINPOOL_P384R1: Domain = Domain {
    p: &octets::<48>(
        "8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b412b1da197fb71123acd3a729901d1a71874700133107ec53",
    ),
    a: &octets::<48>(
        "7bc382c63d8c150c3c72080ace05afa0c2bea28e4fb22787139165efba91f90f8aa5814a503ad4eb04a8c7dd22ce2826",
    ),
    b: &octets::<48>(
        "04a8c7dd22ce28268b39b55416f0447c2fb77de107dcd2a62e880ea53eeb62d57cb4390295dbc9943ab78696fa504c11",
    ),
    g: &octets::<97>(concat!(
        "041d1c64f068cf45ffa2a63a81b7c13f6b8847a3e77ef14fe3db7fcafe0cbd10e8e826e03436d646aaef87b2e247d4af",
        "1e8abe1d7520f9c2a45cb1eb8e95cfd55262b70b29feec5864e19c054ff99129280e4646217791811142820341263c53",
        "15",
    )),
    n: &octets::<48>(
        "8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b31f166e6cac0425a7cf3ab6af6b7fc3103b883202e9046565",
    ),
};

static BRAINPOOL_P512R1: Domain = Domain {
    p: &octets::<64>(concat!(
        "aadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca703308717d4d9b009bc66842aecda12ae6a380e6",
        "2881ff2f2d82c68528aa6056583a48f3",
    )),
    a: &octets::<64>(concat!(
        "7830a3318b603b89e2327145ac234cc594cbdd8d3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b5",
        "7f1117a72bf2c7b9e7c1ac4d77fc94ca",
    )),
    b: &octets::<64>(concat!(
        "3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b57f1117a72bf2c7b9e7c1ac4d77fc94cadc083e67",
        "984050b75ebae5dd2809bd638016f723",
    )),
    g: &octets::<129>(concat!(
        "0481aee4bdd82ed9645a21322e9c4c6a9385ed9f70b5d916c1b43b62eef4d0098eff3b1f78e2d0d48d50d1687b93b97d",
        "5f7c6d5047406a5e688b352209bcb9f8227dde385d566332ecc0eabfa9cf7822fdf209f70024a57b1aa000c55b881f81",
        "11b2dcde494a5f485e5bca4bd88a2763aed1ca2b2fa8f0540678cd1e0f3ad80892",
    )),
    n: &octets::<64>(concat!(
        "aadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca70330870553e5c414ca92619418661197fac1047",
        "1db1d381085ddaddb58796829ca90069",
    )),
};

static SECP256K1: Domain = Domain {
    p: &octets::<32>("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f"),
    a: &octets::<0>(""),
    b: &octets::<1>("07"),
    g: &octets::<65>(concat!(
        "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4fbfc0e1108",
        "a8fd17b448a68554199c47d08ffb10d4b8",
    )),
    n: &octets::<32>("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"),
};

static ED25519: Domain = Domain {
    p: &octets::<32>("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed"),
    a: &octets::<1>("01"),
    b: &octets::<32>("2dfc9311d490018c7338bf8688861767ff8ff5b2bebe27548a14b235eca6874a"),
    g: &octets::<65>(concat!(
        "04216936d3cd6e53fec0a4e231fdd6dc5c692cc7609525a7b2c9562d608f25d51a666666666666666666666666666666",
        "6666666666666666666666666666666658",
    )),
    n: &octets::<32>("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed"),
};

static CURVE25519: Domain = Domain {
    p: &octets::<32>("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed"),
    a: &octets::<3>("01db41"),
    b: &octets::<1>("01"),
    g: &octets::<65>(concat!(
        "04000000000000000000000000000000000000000000000000000000000000000920ae19a1b8a086b4e01edd2c7748d1",
        "4c923d4d7e6d7c61b229e9c5a27eced3d9",
    )),
    n: &octets::<32>("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed"),
};

static ED448: Domain = Domain {
    p: &octets::<56>(concat!(
        "fffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffffffffffffffffffffffffffffffffffff",
        "ffffffffffffffff",
    )),
    a: &octets::<1>("01"),
    b: &octets::<56>(concat!(
        "fffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffffffffffffffffffffffffffffffffffff",
        "ffffffffffff6756",
    )),
    g: &octets::<113>(concat!(
        "044f1970c66bed0ded221d15a622bf36da9e146570470f1767ea6de324a3d3a46412ae1af72ab66511433b80e18b0093",
        "8e2626a82bc70cc05e693f46716eb6bc248876203756c9c7624bea73736ca3984087789c1e05a0c2d73ad3ff1ce67c39",
        "c4fdbd132c4ed7c8ad9808795bf230fa14",
    )),
    n: &octets::<56>(concat!(
        "3fffffffffffffffffffffffffffffffffffffffffffffffffffffff7cca23e9c44edb49aed63690216cc2728dc58f55",
        "2378c292ab5844f3",
    )),
};

static X448: Domain = Domain {
    p: &octets::<56>(concat!(
        "fffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffffffffffffffffffffffffffffffffffff",
        "ffffffffffffffff",
    )),
    a: &octets::<2>("98a9"),
    b: &octets::<1>("01"),
    g: &octets::<113>(concat!(
        "040000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000057d235d1295f5b1f66c98ab6e58326fcecbae5d34f55545d060f75dc28df3f6edb8027e2346430d",
        "211312c4b150677af76fd7223d457b5b1a",
    )),
    n: &octets::<56>(concat!(
        "3fffffffffffffffffffffffffffffffffffffffffffffffffffffff7cca23e9c44edb49aed63690216cc2728dc58f55",
        "2378c292ab5844f3",
    )),
};
