//! Moduli that one library made so that they can be factored (CVE-2017-15361, "ROCA").
//!
//! Its primes are `k * M + (65537^a mod M)`, M a product of the first small primes, so that such a modulus is a power of 65537
//! modulo each of them (Nemec, Sys, Svenda, Klinec, Matyas: "The Return of Coppersmith's Attack", CCS 2017, section 2.2).
//! Another modulus has that form by chance about once in 2^27.

/// The odd primes that divide M of every key size, so also of the smallest.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

const GENERATOR: u32 = 65537;

/// Whether a modulus, big-endian, has the form of those that can be factored.
pub(super) fn has_fingerprint(modulus: &[u8]) -> bool {
    PRIMES
        .iter()
        .all(|&prime| is_power(remainder(modulus, prime), prime))
}

fn remainder(number: &[u8], prime: u32) -> u32 {
    number
        .iter()
        .fold(0, |rest, &byte| (rest * 256 + u32::from(byte)) % prime)
}

/// Whether a remainder is a power of the generator: those come round after fewer steps than the prime.
fn is_power(remainder: u32, prime: u32) -> bool {
    let powers = std::iter::successors(Some(1), |power| Some(power * (GENERATOR % prime) % prime));
    let steps = usize::try_from(prime).unwrap_or(usize::MAX);
    powers.take(steps).any(|power| power == remainder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_of_the_generator_has_the_fingerprint_and_its_neighbour_has_not() {
        // 65537^60 is as long as a modulus, and a power of the generator modulo every prime.
        let mut number = vec![0_u8; 130];
        number[129] = 1;
        for _ in 0..60 {
            times_generator(&mut number);
        }
        assert!(has_fingerprint(&number));
        number[129] ^= 2;
        assert!(!has_fingerprint(&number));
    }

    /// `x * 65537 = x * 2^16 + x`.
    fn times_generator(number: &mut [u8]) {
        let before = number.to_vec();
        let mut carry = 0_u16;
        for index in (0..number.len()).rev() {
            let shifted = before.get(index + 2).copied().unwrap_or_default();
            let sum = u16::from(before[index]) + u16::from(shifted) + carry;
            number[index] = u8::try_from(sum & 0xff).unwrap();
            carry = sum >> 8;
        }
    }

    #[test]
    fn a_modulus_that_a_small_prime_divides_has_no_fingerprint() {
        assert!(!has_fingerprint(&[3 * 5 * 7]));
        assert!(!has_fingerprint(&[]));
    }
}
