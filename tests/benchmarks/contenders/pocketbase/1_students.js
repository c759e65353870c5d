/// Open rules: anybody may list, view, create, update and delete.
migrate((app) => {
  app.save(new Collection({
    type: "base",
    name: "students",
    listRule: "",
    viewRule: "",
    createRule: "",
    updateRule: "",
    deleteRule: "",
    fields: [
      { type: "text", name: "name", required: true, max: 200 },
      { type: "text", name: "department", required: true, max: 100 },
      { type: "number", name: "cgpa", min: 0, max: 10 },
      { type: "autodate", name: "created_at", onCreate: true },
      { type: "autodate", name: "updated_at", onCreate: true, onUpdate: true },
    ],
  }))
})
