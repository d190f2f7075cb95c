%% Generators of options, for ram_model_gen and those beside it. Debian's PropEr comes without its
%% header, hence the macro.
-module(ram_model_options).

-export([call/3, call_on/4, options/1, given/2, shortest/1]).
-export([few/1, return/1, timeout/0, boolean/0, table/0, ordered_table/0, known/1]).

-define(LET(X, Type, Gen), proper_types:bind(Type, fun(X) -> Gen end, false)).
%% PropEr takes longer to build a type than to draw from it.
-define(LAZY(Gen), proper_types:lazy(fun() -> Gen end)).

-import(proper_types, [frequency/1, range/2, elements/1, vector/2]).

%% @doc A call of some table, with some of these options.
call(Function, Arguments, Specs) ->
    ?LET(Table, table(), %% @doc As call/3, of this table.
call_on(Table, Function, Arguments, Specs)).

call_on(Table, Function, Arguments, Specs) ->
    ?LAZY(named_or_not(Table, Function, Arguments, Specs)).

%% The default table is named or not.
named_or_not(Table, Function, Arguments, Specs) ->
    Named = case Table of
                default -> elements([#{}, #{}, #{table => default}]);
                _ -> elements([#{table => Table}])
            end,
    ?LET({Of, Name, More}, {Arguments, Named, options([{timeout, timeout()} | Specs])},
         {Function, Of, shortest(maps:merge(Name, More))}).

%% @doc A call without options is another one.
shortest(Options) when Options =:= #{} -> none;
shortest(Options) -> Options.

%% @doc The options of a call, and these.
given(none, More) -> More;
given(Options, More) -> maps:merge(Options, More).

%% @doc Some of these.
options(Specs) ->
    Some = [frequency([{2, []}, {1, [{Key, Type}]}]) || {Key, Type} <- Specs],
    ?LET(Given, Some, at_hand(maps:from_list(lists:append(Given)))).

%% What is at hand on this node may be old, unless it is asked for what is newest.
at_hand(#{at_least := now} = Options) ->
    case erlang:phash2(Options, 2) of
        0 -> Options#{reads => local};
        1 -> Options
    end;
at_hand(Options) ->
    Options.

%% @doc None, or up to four.
few(Type) -> ?LET(Count, range(0, 4), vector(Count, Type)).

return(Returns) -> {return, elements(Returns)}.

timeout() -> elements([60000, infinity]).

boolean() -> elements([true, false]).

%% @doc Those that are always there, and two that come and go.
table() ->
    frequency([{5, default}, {2, s}, {4, o}, {2, t}, {1, u}]).

ordered_table() ->
    frequency([{12, o}, {3, t}, {1, default}, {1, s}, {1, u}]).

%% @doc The options that a call knows.
known(Function) ->
    Reads = [table, timeout, reads, at_least],
    Listed = [limit, reverse, continuation | Reads],
    case Function of
        put -> [table, timeout, return, expect, ttl];
        Put when Put =:= put_new; Put =:= cas -> [table, timeout, ttl];
        delete -> [table, timeout, return, expect];
        update -> [table, timeout, return, retries];
        get_and_update -> [table, timeout, retries];
        put_many -> [table, timeout, return, ttl];
        delete_many -> [table, timeout, return];
        create_table -> [type, timeout];
        transaction -> [retries, timeout];
        Read when Read =:= get; Read =:= fetch; Read =:= lookup; Read =:= ttl; Read =:= member;
                  Read =:= get_many; Read =:= size; Read =:= first; Read =:= last;
                  Read =:= next; Read =:= prev -> Reads;
        Scan when Scan =:= fold; Scan =:= foreach -> [reverse | Reads];
        select -> Listed;
        Scan when Scan =:= to_list; Scan =:= keys; Scan =:= range; Scan =:= prefix ->
            [keys_only | Listed];
        _Write -> [table, timeout]
    end.
