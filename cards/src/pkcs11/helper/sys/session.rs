//! A session with a token, and what is done in it (PKCS#11, 5.6 to 5.18).

use std::fmt;
use std::ptr;
use std::sync::Arc;

use claviger_secret::Secret;
use cryptoki_sys::*;
use zeroize::{Zeroize, Zeroizing};

use super::mechanism::Mechanism;
use super::module::{Module, Refusal, call};
use super::template::{Pair, raw};

/// Handles that are fetched at once.
const HANDLES: usize = 256;

/// The longest value of an attribute that is read.
const MAX_VALUE: usize = 64 << 10;

/// What a module says of an attribute that an object does not have, or does not show, and of a value that had no room.
const MISSING: [CK_RV; 3] = [CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_SENSITIVE, CKR_BUFFER_TOO_SMALL];

/// An open session; dropping it closes it.
pub(in crate::pkcs11::helper) struct Session {
    module: Arc<Module>,
    handle: CK_SESSION_HANDLE,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({})", self.handle)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The token may be gone, and the session with it.
        let _ = call!(self.module, C_CloseSession(self.handle));
    }
}

impl Session {
    /// `C_OpenSession`, for writing or not.
    pub(in crate::pkcs11::helper) fn open(
        module: &Arc<Module>,
        slot: CK_SLOT_ID,
        writing: bool,
    ) -> Result<Self, Refusal> {
        let flags = CKF_SERIAL_SESSION | if writing { CKF_RW_SESSION } else { 0 };
        let mut handle = 0;
        call!(module, C_OpenSession(slot, flags, ptr::null_mut(), None, &raw mut handle))?;
        Ok(Self { module: Arc::clone(module), handle })
    }

    /// `C_GetSessionInfo`: its `CKS_` state.
    pub(in crate::pkcs11::helper) fn state(&self) -> Result<CK_STATE, Refusal> {
        let mut info = CK_SESSION_INFO::default();
        call!(self.module, C_GetSessionInfo(self.handle, &raw mut info))?;
        Ok(info.state)
    }

    /// `C_Login`; without a PIN, it is typed at the token.
    pub(in crate::pkcs11::helper) fn login(
        &self,
        user: CK_USER_TYPE,
        pin: Option<&Secret>,
    ) -> Result<(), Refusal> {
        let (pin, length) = optional(pin);
        call!(self.module, C_Login(self.handle, user, pin, length))
    }

    /// `C_Logout`.
    pub(in crate::pkcs11::helper) fn logout(&self) -> Result<(), Refusal> {
        call!(self.module, C_Logout(self.handle))
    }

    /// `C_InitPIN`; without a PIN, it is typed at the token.
    pub(in crate::pkcs11::helper) fn init_pin(&self, pin: Option<&Secret>) -> Result<(), Refusal> {
        let (pin, length) = optional(pin);
        call!(self.module, C_InitPIN(self.handle, pin, length))
    }

    /// `C_SetPIN`; PINs that are not given are typed at the token.
    pub(in crate::pkcs11::helper) fn set_pin(
        &self,
        old: Option<&Secret>,
        new: Option<&Secret>,
    ) -> Result<(), Refusal> {
        let ((old, old_length), (new, new_length)) = (optional(old), optional(new));
        call!(self.module, C_SetPIN(self.handle, old, old_length, new, new_length))
    }

    /// `C_FindObjects`: at most `limit` handles.
    pub(in crate::pkcs11::helper) fn find(
        &self,
        template: &[Pair<'_>],
        limit: usize,
    ) -> Result<Vec<CK_OBJECT_HANDLE>, Refusal> {
        let mut attributes = raw(template);
        let length = attributes.len() as CK_ULONG;
        call!(self.module, C_FindObjectsInit(self.handle, attributes.as_mut_ptr(), length))?;
        let found = self.found(limit);
        call!(self.module, C_FindObjectsFinal(self.handle))?;
        found
    }

    fn found(&self, limit: usize) -> Result<Vec<CK_OBJECT_HANDLE>, Refusal> {
        let mut found = Vec::new();
        while found.len() < limit {
            let mut handles = [0; HANDLES];
            let mut count = 0;
            call!(
                self.module,
                C_FindObjects(self.handle, handles.as_mut_ptr(), HANDLES as CK_ULONG, &raw mut count)
            )?;
            let some = within("C_FindObjects", &handles, count)?;
            if some.is_empty() {
                break;
            }
            found.extend_from_slice(some);
        }
        found.truncate(limit);
        Ok(found)
    }

    /// `C_GetAttributeValue`: values of an object, each with a guess at its length; one that is missing is `None`. One
    /// call if the guesses are right and nothing is missing.
    pub(in crate::pkcs11::helper) fn attributes(
        &self,
        object: CK_OBJECT_HANDLE,
        wanted: &[(CK_ATTRIBUTE_TYPE, usize)],
    ) -> Result<Vec<Option<Vec<u8>>>, Refusal> {
        let mut buffers: Vec<_> = wanted.iter().map(|(kind, length)| Buffer::new(*kind, *length)).collect();
        let whole = self.fill(object, &mut buffers)?;
        let values = buffers.into_iter().map(|buffer| match buffer.value() {
            // Where something went wrong, a module may have stopped before this one.
            Some(value) if whole || !buffer.is_full() => Ok(Some(value)),
            _ => self.attribute(object, buffer.kind),
        });
        values.collect()
    }

    /// One attribute, asked for its length first.
    fn attribute(
        &self,
        object: CK_OBJECT_HANDLE,
        kind: CK_ATTRIBUTE_TYPE,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        let mut length = [Buffer::new(kind, 0)];
        if !self.fill(object, &mut length)? {
            return Ok(None);
        }
        let [length] = length;
        let Some(length) = usize::try_from(length.length).ok().filter(|length| *length <= MAX_VALUE) else {
            return Ok(None);
        };
        let mut buffer = [Buffer::new(kind, length)];
        let whole = self.fill(object, &mut buffer)?;
        let [buffer] = buffer;
        Ok(buffer.value().filter(|_| whole))
    }

    /// Fills buffers; whether all of them got their value.
    fn fill(&self, object: CK_OBJECT_HANDLE, buffers: &mut [Buffer]) -> Result<bool, Refusal> {
        let mut attributes: Vec<_> = buffers.iter_mut().map(Buffer::raw).collect();
        let count = attributes.len() as CK_ULONG;
        let result =
            call!(self.module, C_GetAttributeValue(self.handle, object, attributes.as_mut_ptr(), count));
        for (buffer, attribute) in buffers.iter_mut().zip(&attributes) {
            buffer.length = attribute.ulValueLen;
        }
        match result {
            Ok(()) => Ok(true),
            Err(refusal) if refusal.is_any(&MISSING) => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    /// `CKA_VALUE` of a secret key with at most `longest` octets.
    pub(in crate::pkcs11::helper) fn secret_value(
        &self,
        object: CK_OBJECT_HANDLE,
        longest: usize,
    ) -> Result<Secret, Refusal> {
        let mut octets = Zeroizing::new(vec![0; longest]);
        let mut attribute = CK_ATTRIBUTE {
            type_: CKA_VALUE,
            pValue: octets.as_mut_ptr().cast(),
            ulValueLen: longest as CK_ULONG,
        };
        call!(self.module, C_GetAttributeValue(self.handle, object, &raw mut attribute, 1))?;
        within("C_GetAttributeValue", &octets, attribute.ulValueLen).map(Secret::copy_of)
    }

    /// `C_SignInit`.
    pub(in crate::pkcs11::helper) fn sign_init(
        &self,
        mechanism: Mechanism<'_>,
        key: CK_OBJECT_HANDLE,
    ) -> Result<(), Refusal> {
        mechanism.with(|mechanism| call!(self.module, C_SignInit(self.handle, mechanism, key)))
    }

    /// `C_Sign`, called once: there are modules that sign whenever they are asked how long it will be.
    pub(in crate::pkcs11::helper) fn sign(&self, data: &[u8], longest: usize) -> Result<Vec<u8>, Refusal> {
        let mut signature = vec![0; longest];
        let mut length = longest as CK_ULONG;
        let (data, data_length) = borrowed(data);
        call!(self.module, C_Sign(self.handle, data, data_length, signature.as_mut_ptr(), &raw mut length))?;
        within("C_Sign", &signature, length).map(<[u8]>::to_vec)
    }

    /// `C_DecryptInit`.
    pub(in crate::pkcs11::helper) fn decrypt_init(
        &self,
        mechanism: Mechanism<'_>,
        key: CK_OBJECT_HANDLE,
    ) -> Result<(), Refusal> {
        mechanism.with(|mechanism| call!(self.module, C_DecryptInit(self.handle, mechanism, key)))
    }

    /// `C_Decrypt`, called once.
    pub(in crate::pkcs11::helper) fn decrypt(&self, data: &[u8], longest: usize) -> Result<Secret, Refusal> {
        let mut plaintext = Zeroizing::new(vec![0; longest]);
        let mut length = longest as CK_ULONG;
        let (data, data_length) = borrowed(data);
        call!(
            self.module,
            C_Decrypt(self.handle, data, data_length, plaintext.as_mut_ptr(), &raw mut length)
        )?;
        within("C_Decrypt", &plaintext, length).map(Secret::copy_of)
    }

    /// `C_DeriveKey`.
    pub(in crate::pkcs11::helper) fn derive(
        &self,
        mechanism: Mechanism<'_>,
        key: CK_OBJECT_HANDLE,
        template: &[Pair<'_>],
    ) -> Result<CK_OBJECT_HANDLE, Refusal> {
        let mut attributes = raw(template);
        let (pairs, count) = (attributes.as_mut_ptr(), attributes.len() as CK_ULONG);
        let mut derived = 0;
        mechanism.with(|mechanism| {
            call!(self.module, C_DeriveKey(self.handle, mechanism, key, pairs, count, &raw mut derived))
        })?;
        Ok(derived)
    }

    /// `C_GenerateKeyPair`: public and private key.
    pub(in crate::pkcs11::helper) fn generate(
        &self,
        mechanism: Mechanism<'_>,
        public: &[Pair<'_>],
        private: &[Pair<'_>],
    ) -> Result<[CK_OBJECT_HANDLE; 2], Refusal> {
        let (mut public, mut private) = (raw(public), raw(private));
        let (public, public_count) = (public.as_mut_ptr(), public.len() as CK_ULONG);
        let (private, private_count) = (private.as_mut_ptr(), private.len() as CK_ULONG);
        let (mut first, mut second) = (0, 0);
        mechanism.with(|mechanism| {
            let handles = (&raw mut first, &raw mut second);
            call!(
                self.module,
                C_GenerateKeyPair(
                    self.handle,
                    mechanism,
                    public,
                    public_count,
                    private,
                    private_count,
                    handles.0,
                    handles.1
                )
            )
        })?;
        Ok([first, second])
    }

    /// `C_CreateObject`.
    pub(in crate::pkcs11::helper) fn create(
        &self,
        template: &[Pair<'_>],
    ) -> Result<CK_OBJECT_HANDLE, Refusal> {
        let mut attributes = raw(template);
        let (pairs, count) = (attributes.as_mut_ptr(), attributes.len() as CK_ULONG);
        let mut object = 0;
        call!(self.module, C_CreateObject(self.handle, pairs, count, &raw mut object))?;
        Ok(object)
    }

    /// `C_DestroyObject`.
    pub(in crate::pkcs11::helper) fn destroy(&self, object: CK_OBJECT_HANDLE) -> Result<(), Refusal> {
        call!(self.module, C_DestroyObject(self.handle, object))
    }

    /// `C_GenerateRandom`.
    pub(in crate::pkcs11::helper) fn random(&self, length: usize) -> Result<Vec<u8>, Refusal> {
        let mut octets = vec![0; length];
        call!(self.module, C_GenerateRandom(self.handle, octets.as_mut_ptr(), length as CK_ULONG))?;
        Ok(octets)
    }
}

/// Room for the value of an attribute: in words, since modules write numbers as such.
struct Buffer {
    kind: CK_ATTRIBUTE_TYPE,
    room: usize,
    words: Vec<CK_ULONG>,
    /// What the module says of the value's length.
    length: CK_ULONG,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.words.zeroize();
    }
}

impl Buffer {
    fn new(kind: CK_ATTRIBUTE_TYPE, room: usize) -> Self {
        Self { kind, room, words: vec![0; room.div_ceil(size_of::<CK_ULONG>())], length: 0 }
    }

    /// It holds a pointer to the words, or null to ask for the length.
    fn raw(&mut self) -> CK_ATTRIBUTE {
        let value = if self.room == 0 { ptr::null_mut() } else { self.words.as_mut_ptr().cast() };
        CK_ATTRIBUTE { type_: self.kind, pValue: value, ulValueLen: self.room as CK_ULONG }
    }

    fn is_full(&self) -> bool {
        self.length == self.room as CK_ULONG
    }

    fn value(&self) -> Option<Vec<u8>> {
        let length = usize::try_from(self.length).ok().filter(|length| *length <= self.room)?;
        Some(self.words.iter().flat_map(|word| word.to_ne_bytes()).take(length).collect())
    }
}

/// The first `count` entries of what a function filled.
fn within<'a, T>(function: &'static str, filled: &'a [T], count: CK_ULONG) -> Result<&'a [T], Refusal> {
    usize::try_from(count).ok().and_then(|count| filled.get(..count)).ok_or(Refusal::Malformed { function })
}

fn optional(secret: Option<&Secret>) -> (*mut CK_BYTE, CK_ULONG) {
    secret.map_or((ptr::null_mut(), 0), |secret| borrowed(secret.as_bytes()))
}

/// Octets that the module reads, and by the standard does not write.
fn borrowed(octets: &[u8]) -> (*mut CK_BYTE, CK_ULONG) {
    (octets.as_ptr().cast_mut(), octets.len() as CK_ULONG)
}
