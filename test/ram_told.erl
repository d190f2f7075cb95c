%% What has to be told in docs/troubleshooting.md: the reasons of ram_error's types, and each line
%% that the sources can log at notice or above, in Erlang and in Rust.
-module(ram_told).

-export([reasons/1, untold_reasons/2, log_lines/1, is_told/2]).

-type line() :: {File :: file:filename(), Line :: pos_integer(), Format :: string()}.

%% Crates of tests, and what is never shipped.
-define(NOT_SHIPPED, ["ram_sim", "ram_model", "ram_check", "ram_sabotage"]).

%% What a line says that is nothing but a text from elsewhere.
passed_on("ram_member.erl") ->
    ["the owner process of the member ended"];
passed_on("ram_naming.erl") ->
    ["this node is called"];
passed_on(_File) ->
    [].

%% @doc The reasons of the type that are in no row.
-spec untold_reasons(failure | cluster_error, [string()]) -> [atom()].
untold_reasons(Type, Rows) ->
    [Reason || Reason <- reasons(Type),
               not lists:any(fun(Row) -> names(Row, atom_to_list(Reason)) end, Rows)].

names(Row, Reason) ->
    lists:any(fun(Form) -> string:find(Row, Form) =/= nomatch end,
              ["`" ++ Reason ++ "`", "`{" ++ Reason ++ ","]).

%% @doc The first word of every alternative of a type of ram_error.
-spec reasons(failure | cluster_error) -> [atom()].
reasons(Type) ->
    {ok, {_, [{abstract_code, {_, Forms}}]}} =
        beam_lib:chunks(code:which(ram_error), [abstract_code]),
    [Alternatives] = [Of || {attribute, _, type, {Name, {type, _, union, Of}, []}} <- Forms,
                            Name =:= Type],
    [reason(Alternative) || Alternative <- Alternatives].

reason({atom, _, Reason}) -> Reason;
reason({type, _, tuple, [{atom, _, Reason} | _]}) -> Reason.

%% @doc The lines, with what is filled in as the source has it.
-spec log_lines(file:filename()) -> [line()].
log_lines(Root) ->
    Erlang = filelib:wildcard(filename:join([Root, "erlang", "*.erl"])),
    Sources = filelib:wildcard(filename:join([Root, "native", "*", "src", "**", "*.rs"])),
    Rust = [File || File <- Sources, not is_of_tests(filename:split(File))],
    lists:append([calls(File, "\\?LOG_(?:NOTICE|WARNING|ERROR|CRITICAL|ALERT|EMERGENCY)\\(")
                  || File <- Erlang]
                 %% What the core says at level info is a notice in the VM's log.
                 ++ [calls(File, "\\b(?:info|warn|error)!\\(") || File <- Rust]).

is_of_tests(Path) ->
    lists:any(fun(Part) -> lists:member(Part, ["tests", "tests.rs" | ?NOT_SHIPPED]) end, Path).

calls(File, Begin) ->
    {ok, Binary} = file:read_file(File),
    case re:run(Binary, Begin, [global]) of
        {match, Found} ->
            [{filename:basename(File), line(Binary, At), format(File, Binary, At + Length)}
             || [{At, Length}] <- Found];
        nomatch ->
            []
    end.

line(Binary, At) ->
    1 + length(binary:matches(binary:part(Binary, 0, At), <<"\n">>)).

%% The first string of the call that is no field's value; strings side by side are one.
format(File, Binary, From) ->
    Rest = binary:part(Binary, From, byte_size(Binary) - From),
    {match, [Text]} = re:run(Rest, "((?:\"(?:[^\"\\\\]|\\\\.|\\\\\n)*\"\\s*)+)",
                             [dotall, {capture, [1], list}]),
    case filename:extension(File) of
        ".erl" -> re:replace(Text, "\"\\s*\"|^\"|\"\\s*$", "", [global, {return, list}]);
        ".rs" -> re:replace(Text, "\\\\\n\\s*|^\"|\"\\s*$", "", [global, {return, list}])
    end.

%% @doc Whether a row has the words of a line, whatever is filled in.
-spec is_told(line(), [string()]) -> boolean().
is_told({File, _Line, Format}, Rows) ->
    case words(Format) of
        [] -> [] =/= passed_on(File) andalso lists:all(fun(Words) -> has([Words], Rows) end,
                                                        passed_on(File));
        Words -> has(Words, Rows)
    end.

has(Words, Rows) ->
    lists:any(fun(Row) -> lists:all(fun(W) -> string:find(Row, W) =/= nomatch end, Words) end,
              Rows).

%% The first words between what is filled in and signs, enough to tell the line from others.
words(Format) ->
    Parts = re:split(string:trim(Format), "~[0-9.*]*[a-zA-Z]+|\\{[^}]*\\}|~n|[;:,] ",
                     [{return, list}]),
    lists:sublist([Words || Part <- Parts, Words <- [string:trim(strip(Part), both, " ,;:()[]")],
                            length(Words) >= 8], 2).

strip("ram: " ++ Part) -> Part;
strip(Part) -> Part.
