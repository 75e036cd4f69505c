//! Closed sets of words, stored as text.

/// Declares one: the same words in the database, in JSON and in requests.
macro_rules! text_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, sqlx::Type, utoipa::ToSchema)]
        #[serde(rename_all = "snake_case")]
        #[sqlx(type_name = "text", rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// As stored and sent.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The schema of a query parameter that is one of the words, or blank for any. Its description is the
            /// parameter's, which has none of its own beside such a schema.
            pub fn or_blank() -> utoipa::openapi::Schema {
                let words = [$($text),+, ""];
                let text = utoipa::openapi::schema::Type::String;
                utoipa::openapi::ObjectBuilder::new().schema_type(text).enum_values(Some(words)).description(Some("Only with this one; blank for any.")).into()
            }

            /// Reads it from a request.
            pub fn parse(value: &serde_json::Value) -> Result<Self, $crate::input::Invalid> {
                Ok(value.as_str().map(str::trim).unwrap_or_default().parse::<Self>()?)
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                match word {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(format!("must be one of {}", [$($text),+].join(", "))),
                }
            }
        }
    };
}

pub(crate) use text_enum;
