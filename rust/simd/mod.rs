//! The hot loops, compiled once for each instruction set and chosen at run time.
//!
//! Each kernel is a plain loop over arrays of fixed size, which the compiler vectorises for the
//! instruction set of the enclosing function. Only popcounts use intrinsics, because the compiler
//! does not vectorise them reliably; for products (12 × 32 numbers in registers of 16) intrinsics
//! gained nothing. Link-time optimisation is off: it runs before vectorisation and costs three
//! quarters of the speed.

use std::sync::OnceLock;

pub mod gemm;
pub mod line;
pub mod popcount;
pub mod threshold;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    Portable,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// An instruction set that this CPU supports; only [`Isa::available`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isa(pub(crate) Set);

impl Isa {
    /// List the instruction sets that this CPU supports, slowest first.
    pub fn available() -> Vec<Self> {
        let mut sets = vec![Set::Portable];
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            sets.push(Set::Neon);
        }
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma") && has!("popcnt");
            if avx2 {
                sets.push(Set::Avx2);
            }
            let avx512 = has!("avx512f") && has!("avx512bw") && has!("avx512dq");
            if avx2 && avx512 && has!("avx512vl") && has!("avx512vpopcntdq") {
                sets.push(Set::Avx512);
            }
        }
        sets.into_iter().map(Self).collect()
    }

    /// Return the set in use: the one that `SFAL_ISA` names if this CPU supports it, otherwise the
    /// fastest.
    pub fn active() -> Self {
        static ACTIVE: OnceLock<Isa> = OnceLock::new();
        *ACTIVE.get_or_init(|| {
            let sets = Self::available();
            let wanted = std::env::var("SFAL_ISA").unwrap_or_default();
            let named = sets.iter().find(|isa| isa.name() == wanted);
            *named.or(sets.last()).unwrap_or(&Self(Set::Portable))
        })
    }

    /// Return the name that `SFAL_ISA` takes.
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Portable => "portable",
            #[cfg(target_arch = "aarch64")]
            Set::Neon => "neon",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
        }
    }
}

/// Define `fn name(isa, arguments)`, which runs an `#[inline(always)]` body compiled for that set.
/// Some sets can be given bodies of their own.
macro_rules! per_isa {
    (
        $(#[$doc:meta])*
        pub fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:expr;
        portable = $portable:expr;
        avx2 = $avx2:expr;
        avx512 = $avx512:expr
    ) => {
        $(#[$doc])*
        #[inline]
        pub fn $name(isa: $crate::simd::Isa, $($arg: $ty),*) $(-> $ret)? {
            // Not inlined: in a larger function the loop is not always vectorised.
            #[inline(never)]
            fn portable($($arg: $ty),*) $(-> $ret)? {
                $portable($($arg),*)
            }
            #[cfg(target_arch = "aarch64")]
            #[target_feature(enable = "neon")]
            fn neon($($arg: $ty),*) $(-> $ret)? {
                $body($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,popcnt")]
            fn avx2($($arg: $ty),*) $(-> $ret)? {
                $avx2($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(
                enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,fma,popcnt"
            )]
            fn avx512($($arg: $ty),*) $(-> $ret)? {
                $avx512($($arg),*)
            }
            match isa.0 {
                $crate::simd::Set::Portable => portable($($arg),*),
                // SAFETY: an `Isa` is only made for a set that this CPU supports.
                #[cfg(target_arch = "aarch64")]
                $crate::simd::Set::Neon => unsafe { neon($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Set::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Set::Avx512 => unsafe { avx512($($arg),*) },
            }
        }
    };
    ($(#[$doc:meta])* pub fn $name:ident($($args:tt)*) $(-> $ret:ty)? = $body:expr) => {
        $crate::simd::per_isa! {
            $(#[$doc])*
            pub fn $name($($args)*) $(-> $ret)? = $body; portable = $body; avx2 = $body; avx512 = $body
        }
    };
}
pub(crate) use per_isa;

/// Prefetch the cache line of `items[at]`, on CPUs where that is supported.
#[inline(always)]
pub(crate) fn prefetch<T>(items: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(item) = items.get(at) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing, and every x86-64 CPU supports it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(item).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (items, at);
}
