// What axe-core finds in each language: put into a page after it, it leaves its findings in <pre id=axe>.
(async () => {
  const found = [];
  for (const language of ["en", "zh"]) {
    document.getElementById(`lang-${language}`).checked = true;
    const { violations } = await axe.run(document, { resultTypes: ["violations"] });
    for (const { id, nodes } of violations) {
      // the two switches stand before all landmarks: the style sheet shows a language by what follows them
      const wrong = nodes.map((n) => n.html).filter((html) => id !== "region" || !html.includes('class="radio"'));
      if (wrong.length) found.push(`${language}: ${id}: ${wrong.slice(0, 2).map((html) => html.slice(0, 160))}`);
    }
  }
  const pre = document.createElement("pre");
  pre.id = "axe";
  pre.textContent = JSON.stringify(found);
  document.body.append(pre);
})();
