//! Memory that crosses the ABI: owned blocks of bytes and words, and references that are valid for one call.
//!
//! The types are plain C structures, so a plugin can be written in any language. Each owned block refers to the
//! function that frees it, because host and plugin may have different allocators.

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

use abi_stable::StableAbi;

/// Frees blocks of one allocator and one element type.
#[repr(C)]
#[derive(Debug, StableAbi)]
pub struct Owner {
    /// Frees the block at `ptr`, which has this length and capacity in elements.
    pub free: extern "C" fn(ptr: *mut u8, len: usize, cap: usize),
}

/// Declares an owned block of `$element` values.
macro_rules! owned {
    ($(#[$doc:meta])* $name:ident, $element:ty, $owner:ident, $free:ident) => {
        $(#[$doc])*
        ///
        /// With a capacity of 0, `ptr` and `owner` may be null. The value frees the block through `owner` when it is
        /// dropped.
        #[repr(C)]
        #[derive(StableAbi)]
        pub struct $name {
            ptr: *mut $element,
            len: usize,
            cap: usize,
            owner: *const Owner,
        }

        /// Frees blocks of this library's allocator.
        static $owner: Owner = Owner { free: $free };

        extern "C" fn $free(ptr: *mut u8, len: usize, cap: usize) {
            // SAFETY: the block was a `Vec` of this type and allocator, with this length and capacity.
            drop(unsafe { Vec::from_raw_parts(ptr.cast::<$element>(), len, cap) });
        }

        // SAFETY: the value owns the block, and its owner may free it on any thread.
        unsafe impl Send for $name {}
        // SAFETY: a shared reference allows only reads.
        unsafe impl Sync for $name {}

        impl $name {
            /// The capacity of the block, in elements.
            #[must_use]
            pub fn capacity(&self) -> usize {
                self.cap
            }

            /// Converts the block into a vector; copies only if another library allocated it.
            #[must_use]
            pub fn into_vec(self) -> Vec<$element> {
                if self.cap == 0 || !std::ptr::eq(self.owner, &$owner) {
                    return self.to_vec();
                }
                let block = ManuallyDrop::new(self);
                // SAFETY: this library created the block from a `Vec` of this type.
                unsafe { Vec::from_raw_parts(block.ptr, block.len, block.cap) }
            }
        }

        impl From<Vec<$element>> for $name {
            fn from(elements: Vec<$element>) -> Self {
                if elements.capacity() == 0 {
                    return Self::default();
                }
                let mut elements = ManuallyDrop::new(elements);
                let (ptr, len, cap) = (elements.as_mut_ptr(), elements.len(), elements.capacity());
                Self { ptr, len, cap, owner: &$owner }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self { ptr: std::ptr::null_mut(), len: 0, cap: 0, owner: std::ptr::null() }
            }
        }

        impl Deref for $name {
            type Target = [$element];

            fn deref(&self) -> &[$element] {
                if self.ptr.is_null() || self.cap == 0 {
                    return &[];
                }
                // SAFETY: the block contains `len` elements and belongs to this value.
                unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
            }
        }

        impl DerefMut for $name {
            fn deref_mut(&mut self) -> &mut [$element] {
                if self.ptr.is_null() || self.cap == 0 {
                    return &mut [];
                }
                // SAFETY: as for `deref`; a mutable reference is unique.
                unsafe { std::slice::from_raw_parts_mut(self.ptr, self.len) }
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                if self.cap > 0 {
                    // SAFETY: a block with capacity has an owner, which is valid for the life of the process.
                    if let Some(owner) = unsafe { self.owner.as_ref() } {
                        (owner.free)(self.ptr.cast(), self.len, self.cap);
                    }
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.iter()).finish()
            }
        }
    };
}

owned! {
    /// Owned bytes.
    Bytes, u8, BYTES, free_bytes
}

owned! {
    /// Owned 32-bit numbers. Length and capacity count numbers.
    Words, u32, WORDS, free_words
}

/// Declares a reference to elements that is valid for one call.
macro_rules! borrowed {
    ($(#[$doc:meta])* $name:ident, $element:ty) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, StableAbi)]
        pub struct $name<'a> {
            ptr: *const $element,
            len: usize,
            valid: PhantomData<&'a u8>,
        }

        impl<'a> $name<'a> {
            /// The elements.
            #[must_use]
            pub fn as_slice(self) -> &'a [$element] {
                if self.ptr.is_null() {
                    return &[];
                }
                // SAFETY: the caller keeps the elements valid during the call.
                unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
            }
        }

        impl<'a> From<&'a [$element]> for $name<'a> {
            fn from(elements: &'a [$element]) -> Self {
                Self { ptr: elements.as_ptr(), len: elements.len(), valid: PhantomData }
            }
        }

        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.as_slice()).finish()
            }
        }
    };
}

borrowed! {
    /// Bytes of the caller, valid for one call. Text is UTF-8.
    BytesRef, u8
}

borrowed! {
    /// Numbers of the caller, valid for one call.
    WordsRef, u32
}

impl BytesRef<'_> {
    /// The bytes as text. Invalid UTF-8 is replaced by U+FFFD.
    #[must_use]
    pub fn to_text(self) -> String {
        String::from_utf8_lossy(self.as_slice()).into_owned()
    }
}

impl<'a> From<&'a str> for BytesRef<'a> {
    fn from(text: &'a str) -> Self {
        text.as_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn vector_crosses_the_abi_without_a_copy() {
        let mut vector = Vec::with_capacity(100);
        vector.extend([1, 2, 3]);
        let address = vector.as_ptr();
        let words = Words::from(vector);
        assert_eq!((&*words, words.capacity()), (&[1, 2, 3][..], 100));
        let vector = words.into_vec();
        assert_eq!(vector.as_ptr(), address);
        assert_eq!(vector.capacity(), 100);
        assert_eq!(vector.len(), 3);
    }

    #[test]
    fn empty_blocks_have_no_memory() {
        for bytes in [Bytes::default(), Bytes::from(Vec::new())] {
            assert!(bytes.ptr.is_null() && bytes.owner.is_null() && bytes.is_empty());
            assert_eq!(bytes.into_vec(), Vec::<u8>::new());
        }
        let empty = Bytes::from(Vec::with_capacity(10));
        assert!(empty.is_empty());
        assert_eq!(empty.into_vec().capacity(), 10);
    }

    #[test]
    fn block_of_another_owner_is_copied_and_freed_by_its_owner() {
        static FREED: AtomicUsize = AtomicUsize::new(0);
        extern "C" fn free(_: *mut u8, len: usize, cap: usize) {
            FREED.fetch_add(100 * len + cap, Ordering::Relaxed);
        }
        static FOREIGN: Owner = Owner { free };
        let mut memory = *b"abcd";
        let mut foreign = || Bytes { ptr: (&raw mut memory).cast(), len: 3, cap: 4, owner: &FOREIGN };
        let vector = foreign().into_vec();
        assert_eq!(vector, b"abc");
        assert_eq!(FREED.load(Ordering::Relaxed), 304);
    }

    #[test]
    fn null_references_are_empty() {
        let null = BytesRef { ptr: std::ptr::null(), len: 9, valid: PhantomData };
        assert_eq!(null.as_slice(), b"");
        assert_eq!(BytesRef::from("text").to_text(), "text");
        assert_eq!(BytesRef::from(&b"\xff"[..]).to_text(), "\u{fffd}");
        assert_eq!(WordsRef::from(&[7][..]).as_slice(), [7]);
    }
}
