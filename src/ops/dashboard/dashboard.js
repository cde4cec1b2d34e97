"use strict";
const status = document.getElementById("status");
fetch("/api/status")
  .then((answer) => answer.text())
  .then((text) => { status.textContent = text; })
  .catch((error) => { status.textContent = String(error); });
