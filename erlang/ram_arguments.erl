%% Checks of the arguments of ram, called by ram and by what makes its requests: each returns what is
%% right, and raises badarg of the user's call for what is not, with the element, key or value that
%% is wrong.
-module(ram_arguments).

-export([nodes/2, nodes/3, not_a_node/3, entries/2, keys/2, file/2, options/3]).

-export_type([checks/0]).

-compile({no_auto_import, [nodes/2]}).

%% The options that a call knows, each with its check.
-type checks() :: #{atom() => fun((term()) -> ok | {error, unicode:chardata()})}.

%% How much of a wrong term is printed.
-define(DEPTH, 12).

%% @doc A list of one node or more is the first argument; returned sorted, each node once.
-spec nodes(term(), ram_error:call()) -> [node()].
nodes(Nodes, Call) ->
    nodes("", Nodes, Call).

%% @doc `What' names the list where it is part of the first argument.
-spec nodes(What :: string(), term(), ram_error:call()) -> [node()].
nodes(What, [], Call) ->
    ram_error:badarg(Call, 1, What ++ "must name one node at least");
nodes(What, Nodes, Call) ->
    ok = each(fun erlang:is_atom/1, Nodes, What ++ "must be a list of node names", Call),
    lists:usort(Nodes).

%% @doc An argument is not the name of a node.
-spec not_a_node(term(), pos_integer(), ram_error:call()) -> no_return().
not_a_node(Other, Position, Call) ->
    wrong(Call, Position, "must be a node name, and is ~0tP", [Other, ?DEPTH]).

-spec entries(term(), ram_error:call()) -> [{term(), term()}].
entries(Entries, Call) ->
    ok = each(fun is_pair/1, Entries, "must be a list of {Key, Value}", Call),
    Entries.

-spec keys(term(), ram_error:call()) -> [term()].
keys(Keys, Call) ->
    ok = each(fun(_Key) -> true end, Keys, "must be a list of keys", Call),
    Keys.

is_pair({_, _}) -> true;
is_pair(_) -> false.

each(Is, List, Must, Call) when is_list(List) ->
    each(Is, List, 1, Must, Call);
each(_Is, Other, Must, Call) ->
    wrong(Call, 1, "~ts, and is ~0tP", [Must, Other, ?DEPTH]).

each(Is, [Element | Rest], N, Must, Call) ->
    case Is(Element) of
        true -> each(Is, Rest, N + 1, Must, Call);
        false -> wrong(Call, 1, "~ts; element ~b of it is ~0tP", [Must, N, Element, ?DEPTH])
    end;
each(_Is, [], _N, _Must, _Call) ->
    ok;
each(_Is, Tail, _N, Must, Call) ->
    wrong(Call, 1, "~ts; this one has the improper tail ~0tP", [Must, Tail, ?DEPTH]).

%% @doc The name of a file is the first argument; returned as an absolute path.
-spec file(term(), ram_error:call()) -> binary().
file(File, Call) ->
    try unicode:characters_to_binary(filename:absname(File)) of
        Path when is_binary(Path) -> Path;
        _NoText -> ram_error:badarg(Call, 1, "must be a file name in Unicode")
    catch
        error:_ -> wrong(Call, 1, "must be a file name, and is ~0tP", [File, ?DEPTH])
    end.

%% @doc A map of options is the last argument.
-spec options(term(), checks(), ram_error:call()) -> map().
options(Options, Checks, {_Function, Arguments} = Call) when is_map(Options) ->
    Position = length(Arguments),
    _ = [ok = option(Key, Value, Checks, Position, Call)
         || {Key, Value} <- maps:to_list(Options)],
    Options;
options(Other, Checks, {_Function, Arguments} = Call) ->
    wrong(Call, length(Arguments), "must be a map of options (~ts), and is ~0tP",
          [known(Checks), Other, ?DEPTH]).

option(Key, Value, Checks, Position, Call) ->
    case Checks of
        #{Key := Check} ->
            case Check(Value) of
                ok -> ok;
                {error, Must} ->
                    wrong(Call, Position, "the option ~ts ~ts, and is ~0tP",
                          [Key, Must, Value, ?DEPTH])
            end;
        #{} ->
            wrong(Call, Position, "~0tP is no option of this call; it knows ~ts",
                  [Key, ?DEPTH, known(Checks)])
    end.

known(Checks) ->
    lists:join(", ", [atom_to_list(Key) || Key <- lists:sort(maps:keys(Checks))]).

-spec wrong(ram_error:call(), pos_integer(), string(), [term()]) -> no_return().
wrong(Call, Position, Format, Arguments) ->
    ram_error:badarg(Call, Position, io_lib:format(Format, Arguments)).
