package flows

// FieldCount is the number of fields: every Field is less. By it an array can
// hold a value for each.
const FieldCount = int(fieldCount)
