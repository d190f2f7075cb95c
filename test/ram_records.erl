%% Native records (OTP 29) made and taken apart without their syntax, which older compilers do not
%% know: by their external term format.
-module(ram_records).

-export([available/0, bytes/4, record/4, parts/1]).

%% @doc Whether this virtual machine has them.
-spec available() -> boolean().
available() ->
    try record(ram_records, none, false, []) of _Record -> true
    catch error:badarg -> false
    end.

-spec record(module(), atom(), boolean(), [{atom(), term()}]) -> term().
record(Module, Name, IsExported, Fields) ->
    binary_to_term(bytes(Module, Name, IsExported, Fields)).

%% @doc The external term format.
-spec bytes(module(), atom(), boolean(), [{atom(), term()}]) -> binary().
bytes(Module, Name, IsExported, Fields) ->
    {Names, Values} = lists:unzip(Fields),
    Exported = case IsExported of true -> 1; false -> 0 end,
    Parts = [external(Part) || Part <- [Module, Name] ++ Names ++ Values],
    iolist_to_binary([<<131, 67, (length(Fields)):32, Exported>>, Parts]).

external(Term) ->
    <<131, External/binary>> = term_to_binary(Term),
    External.

%% @doc `none' for what is no native record.
-spec parts(term()) -> {module(), atom(), 0..1, Names :: [atom()], Values :: [term()]} | none.
parts(T) when is_number(T); is_atom(T); is_reference(T); is_function(T); is_port(T); is_pid(T);
              is_tuple(T); is_map(T); is_list(T); is_bitstring(T) ->
    none;
parts(T) ->
    <<131, 67, Fields:32, IsExported, Rest/binary>> = term_to_binary(T),
    {[Module, Name | Parts], <<>>} = take(2 + 2 * Fields, Rest),
    {Names, Values} = lists:split(Fields, Parts),
    {Module, Name, IsExported, Names, Values}.

take(0, Rest) ->
    {[], Rest};
take(Count, Rest) ->
    {Term, Used} = binary_to_term(<<131, Rest/binary>>, [used]),
    {Terms, More} = take(Count - 1, binary:part(Rest, Used - 1, byte_size(Rest) - Used + 1)),
    {[Term | Terms], More}.
