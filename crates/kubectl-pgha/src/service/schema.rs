//! The form of the service's file, for editors.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;
use serde_json::Value;

use super::file::Document;

/// The JSON Schema of the service's file, made from the types that read it.
///
/// It is of draft 7, which every editor knows, and without references: in that draft a description beside one counts for nothing, and
/// the settings of all backends have one name.
pub fn service_schema() -> Value {
    let settings = SchemaSettings::draft07()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(tell_of_keys);
    let generator = settings.into_generator();
    generator.into_root_schema_for::<Document>().into()
}

/// Editors look for a description at the key, where a variant with fields of its own has none.
fn tell_of_keys(schema: &mut Schema) {
    transform_subschemas(&mut tell_of_keys, schema);
    let Some(of_all) = schema.get("description").cloned() else {
        return;
    };
    let Some(keys) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for key in keys.values_mut().filter_map(Value::as_object_mut) {
        key.entry("description").or_insert_with(|| of_all.clone());
    }
}
