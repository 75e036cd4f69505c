//! The people and dealerships of `norvalt seed`. The development stand-in for Clerk knows the same ones.

/// A demo dealership and those who work there.
#[derive(Debug)]
pub struct Dealership {
    /// Clerk organization id.
    pub org_id: &'static str,
    /// Display name.
    pub name: &'static str,
    /// Clerk slug.
    pub slug: &'static str,
    /// Members of the organization.
    pub people: &'static [Person],
}

/// A demo member of one dealership.
#[derive(Debug)]
pub struct Person {
    /// Clerk user id.
    pub user_id: &'static str,
    /// Clerk organization membership id.
    pub membership_id: &'static str,
    /// Given name.
    pub first_name: &'static str,
    /// Family name.
    pub last_name: &'static str,
    /// Primary e-mail address.
    pub email: &'static str,
    /// Clerk's role key, such as `org:admin`.
    pub role: &'static str,
}

/// Two dealerships with two people each.
pub const DEALERSHIPS: &[Dealership] = &[
    Dealership {
        org_id: "org_demo_tesla_oslo",
        name: "Tesla Oslo",
        slug: "tesla-oslo",
        people: &[
            Person {
                user_id: "user_demo_kari",
                membership_id: "orgmem_demo_kari",
                first_name: "Kari",
                last_name: "Nordmann",
                email: "kari.nordmann@tesla-oslo.example",
                role: "org:admin",
            },
            Person {
                user_id: "user_demo_jonas",
                membership_id: "orgmem_demo_jonas",
                first_name: "Jonas",
                last_name: "Bråthen",
                email: "jonas.braathen@tesla-oslo.example",
                role: "org:member",
            },
        ],
    },
    Dealership {
        org_id: "org_demo_vw_bergen",
        name: "VW Bergen",
        slug: "vw-bergen",
        people: &[
            Person {
                user_id: "user_demo_silje",
                membership_id: "orgmem_demo_silje",
                first_name: "Silje",
                last_name: "Ødegård",
                email: "silje.odegard@vw-bergen.example",
                role: "org:admin",
            },
            Person {
                user_id: "user_demo_lars",
                membership_id: "orgmem_demo_lars",
                first_name: "Lars",
                last_name: "Tveit",
                email: "lars.tveit@vw-bergen.example",
                role: "org:manager",
            },
        ],
    },
];
