// Erlang and Elixir for highlight.js, which mdBook ships without them.
(function () {
    if (typeof hljs === 'undefined') { return; }
    const strings = { className: 'string', begin: '"', end: '"', contains: [{ begin: '\\\\.' }] };
    const quoted = { className: 'symbol', begin: "'", end: "'", contains: [{ begin: '\\\\.' }] };
    const number = { className: 'number', begin: '\\b\\d+(#[0-9a-zA-Z]+|\\.\\d+)?' };
    const prompt = { className: 'meta', begin: '^(\\([^)]*\\))?\\d+> |^iex(\\(\\d+\\))?> ' };
    hljs.registerLanguage('erlang', function () {
        return {
            keywords: 'after and andalso band begin bnot bor bsl bsr bxor case catch div ' +
                'else end fun if maybe not of or orelse receive rem try when xor',
            contains: [
                prompt,
                { className: 'comment', begin: '%', end: '$' },
                strings, quoted, number,
                { className: 'meta', begin: '^-[a-z_]+' },
                { className: 'title', begin: '\\b[a-z][a-zA-Z0-9_@]*(?=\\()' },
                { className: 'variable', begin: '\\b[A-Z_][a-zA-Z0-9_@]*' },
            ],
        };
    });
    hljs.registerLanguage('elixir', function () {
        return {
            keywords: 'after alias and case catch cond def defmodule defp do else end fn for if ' +
                'import in not or raise receive rescue try unless use when with true false nil',
            contains: [
                prompt,
                { className: 'comment', begin: '#', end: '$' },
                strings, number,
                { className: 'symbol', begin: ':[a-zA-Z_][a-zA-Z0-9_?!]*|\\b[a-z_]+:(?=\\s)' },
                { className: 'meta', begin: '@[a-z_]+' },
                { className: 'title', begin: '\\b[A-Z][a-zA-Z0-9_.]*' },
            ],
        };
    });
    const blocks = document.querySelectorAll('code.language-erlang, code.language-elixir');
    blocks.forEach(function (block) {
        block.textContent = block.textContent;
        delete block.dataset.highlighted;
        block.classList.remove('hljs');
        (hljs.highlightElement || hljs.highlightBlock)(block);
        block.classList.add('hljs');
    });
})();
