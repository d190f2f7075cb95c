%% The pages of the documentation as the tests look at them: fences of code, links, headings.
%%
%% Comments of HTML right above a fence say what a reader does not see:
%%
%%     <!-- not run: WHY -->      it is not run
%%     <!-- hidden: CODE. -->     what is evaluated before it, on the node of the fence
%%     <!-- on: N -->             the node it runs on, 1 otherwise
-module(ram_pages).

-export([all/0, text/1, with_examples/0, fences/1, kind/1, links/1, anchors/1, prose/1,
         rows/1]).
-export_type([fence/0, kind/0]).

-type fence() :: #{page := string(), line := pos_integer(), language := string(),
                   text := string(), marks := [{string(), string()}]}.
-type kind() :: session | functions | terms | elixir | sh | text | none.

%% @doc All pages, by their names in the repository.
-spec all() -> [file:filename()].
all() ->
    filelib:wildcard("*.md", ram_case:root()) ++ filelib:wildcard("docs/**/*.md", ram_case:root()).

%% @doc Those that show how ram is used.
-spec with_examples() -> [file:filename()].
with_examples() ->
    ["README.md" | [Page || "docs/" ++ _ = Page <- all()]].

-spec text(file:filename()) -> string().
text(Page) ->
    {ok, Text} = file:read_file(filename:join(ram_case:root(), Page)),
    unicode:characters_to_list(Text).

%% @doc The fences of a page, in order.
-spec fences(file:filename()) -> [fence()].
fences(Page) ->
    fences(lines(text(Page)), 1, [], Page).

fences([], _N, _Marks, _Page) ->
    [];
fences([Line | Lines], N, Marks, Page) ->
    case {fence(Line), mark(Line)} of
        {{Indent, Language}, _} ->
            {Code, Rest} = lists:splitwith(fun(L) -> fence(L) =:= none end, Lines),
            Text = lists:flatten([[string:prefix(L, Indent), $\n]
                                  || L0 <- Code, L <- [pad(L0, Indent)]]),
            [#{page => Page, line => N, language => Language, text => Text,
               marks => lists:reverse(Marks)}
             | fences(tl(Rest), N + length(Code) + 2, [], Page)];
        {none, none} ->
            fences(Lines, N + 1, [], Page);
        {none, Mark} ->
            fences(Lines, N + 1, [Mark | Marks], Page)
    end.

%% A blank line in a fence of a list is blank.
pad(Line, Indent) ->
    case lists:prefix(Indent, Line) of
        true -> Line;
        false -> Indent ++ string:trim(Line, leading)
    end.

fence(Line) ->
    case re:run(Line, "^( *)```([a-z]*)\\s*$", [{capture, [1, 2], list}]) of
        {match, [Indent, Language]} -> {Indent, Language};
        nomatch -> none
    end.

mark(Line) ->
    case re:run(Line, "^ *<!-- ([a-z ]+): (.*) -->$", [{capture, [1, 2], list}, unicode]) of
        {match, [Name, Value]} -> {Name, Value};
        nomatch -> none
    end.

%% @doc What a fence is, and so what is done to it. `text' is what a program prints.
-spec kind(fence()) -> kind().
kind(#{language := "erlang", text := Text}) ->
    case {re:run(Text, "^(\\([^)]*\\))?1?[0-9]*> ", [multiline]), hd(string:trim(Text))} of
        {{match, _}, _} -> session;
        {nomatch, First} when First =:= $[; First =:= ${ -> terms;
        {nomatch, _} -> functions
    end;
kind(#{language := "elixir"}) -> elixir;
kind(#{language := "sh"}) -> sh;
kind(#{language := "text"}) -> text;
kind(_) -> none.

%% @doc A page without its code.
-spec prose(file:filename()) -> string().
prose(Page) ->
    Options = [global, {return, list}, unicode, multiline, dotall],
    NoFences = re:replace(text(Page), "^ *```.*?^ *```$", "", Options),
    re:replace(NoFences, "`[^`\n]*`", "", [global, {return, list}, unicode]).

%% @doc Where the links of a page lead, pictures too.
-spec links(file:filename()) -> [string()].
links(Page) ->
    Found = re:run(prose(Page), "\\]\\(([^)\\s]+)\\)|(?:href|src)=\"([^\"]+)\"",
                   [global, unicode, {capture, all_but_first, list}]),
    case Found of
        {match, Links} -> [lists:append(Link) || Link <- Links];
        nomatch -> []
    end.

%% @doc What a link to a heading of a page has behind its #.
-spec anchors(file:filename()) -> [string()].
anchors(Page) ->
    Text = re:replace(text(Page), "^ *```.*?^ *```$", "",
                      [global, {return, list}, unicode, multiline, dotall]),
    [anchor(string:trim(Heading))
     || "#" ++ _ = Line <- lines(Text), Heading <- [string:trim(Line, leading, "#")]].

anchor(Heading) ->
    Kept = [C || C <- string:lowercase(Heading),
                 C >= $a andalso C =< $z orelse C >= $0 andalso C =< $9 orelse C =:= $\s
                     orelse C =:= $- orelse C =:= $_ orelse C > 127],
    [case C of $\s -> $-; _ -> C end || C <- Kept].

%% @doc The first cells of the rows of all tables of a page.
-spec rows(file:filename()) -> [string()].
rows(Page) ->
    [string:trim(hd(string:split(Cells, " | "))) || "|" ++ Cells <- lines(text(Page))].

lines(Text) ->
    string:split(Text, "\n", all).
